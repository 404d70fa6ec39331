"""The ways of telling somebody: one file each, one line here."""

from kibitz_collector.alert.channels import apprise, email, slack, webhook
from kibitz_collector.alert.channels.outgoing import ChannelKind
from kibitz_collector.errors import Invalid

KINDS: dict[str, ChannelKind] = {
    kind.name: kind for kind in (webhook.KIND, slack.KIND, email.KIND, apprise.KIND)
}


def kind_named(name: str) -> ChannelKind:
    """Return a kind of channel.

    Raises: Invalid: there is none of this name.
    """
    kind = KINDS.get(name)
    if kind is None:
        raise Invalid(f"no channel kind {name!r}; there are {', '.join(KINDS)}")
    return kind
