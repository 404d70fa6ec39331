"""Hands one message to one channel: for the delivery worker and for trying a channel out."""

import json

from kibitz_collector.access.seal import Sealer
from kibitz_collector.addresses import Reach
from kibitz_collector.alert.channels import KINDS
from kibitz_collector.alert.channels.outgoing import NotDelivered, Outgoing, Surroundings
from kibitz_collector.config import Settings
from kibitz_collector.errors import Invalid
from kibitz_collector.store import Store
from kibitz_collector.store.alerts import Channel
from kibitz_collector.store.queries import keys as key_queries


def surroundings(store: Store, settings: Settings) -> Surroundings:
    """Return what channels may do now: without keys, only people of this machine can be asking."""
    with store.read() as session:
        has_keys = bool(key_queries.active_keys(session))
    return Surroundings(
        reach=Reach(loopback=not has_keys, private=settings.allow_private_webhooks),
        custom_hosts=settings.allow_custom_channel_hosts,
        smtp_url=settings.smtp_url,
    )


def send(channel: Channel, outgoing: Outgoing, sealer: Sealer, around: Surroundings) -> None:
    """Send a message once, through whatever kind of channel.

    Raises: NotDelivered.
    """
    kind = KINDS.get(channel.kind)
    if kind is None:
        raise NotDelivered(f"this kibitz knows no channel kind {channel.kind!r}", is_final=True)
    try:
        config = json.loads(sealer.unseal(channel.secrets or ""))
    except Invalid as error:
        raise NotDelivered(error.message) from None
    kind.send(config, outgoing, around)


def base_url(settings: Settings) -> str:
    """Return where the pages are, for links in messages."""
    if settings.public_url:
        return settings.public_url.rstrip("/")
    host = "localhost" if settings.host in ("0.0.0.0", "::") else settings.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
