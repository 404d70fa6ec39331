"""Apprise channel (`apprise>=2.2`): chat, paging and SMS services whose host Apprise itself knows.

Apprise checks no addresses, so a URL with a host of its own (`json://10.0.0.1`) could reach
anything the collector can; such services need the admin's setting.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from kibitz_collector.alert.channels.outgoing import (
    ChannelKind,
    Config,
    NotDelivered,
    Outgoing,
    Surroundings,
)
from kibitz_collector.errors import Invalid

TIMEOUT_S = 15.0
FIXED_HOSTS = frozenset(
    """
    brevo cliq dingtalk discord feishu firehydrant flock gchat groupme ilert incidentio lark
    line mailersend msgbird opsgenie pagerduty pagertree pbul postmark pover prowl resend
    sendgrid ses signl4 simplepush slack spike splunk spush squadcast tgram twilio twist
    victorops vonage webex wxteams zulip
    """.split()  # noqa: SIM905  # a table is easier to read than fifty quotes
)
"""Schemes with no host in their URL; a test compares this with Apprise's own tables."""
_ARGUMENTS = frozenset(
    """
    batch bcc broadcast cc channel class dedup footer format from group image mode name
    overflow priority region route severity silent sound tags thread to topic tts tz urgency
    """.split()  # noqa: SIM905  # a table is easier to read than fifty quotes
)
"""Arguments that neither read files (`template`, `keyfile`) nor weaken TLS (`verify`)."""
_ASK = "an admin may allow any Apprise URL with KIBITZ_ALLOW_CUSTOM_CHANNEL_HOSTS=true"


def read(config: Config, surroundings: Surroundings) -> Config:
    """Check that the URL names a fixed-host service and that Apprise understands it."""
    url = config.get("url")
    if not isinstance(url, str) or "://" not in url:
        raise Invalid("an apprise channel needs a url, like discord://webhook_id/webhook_token")
    if not surroundings.custom_hosts:
        check_fixed_host(url)
    build(url)
    return {"url": url}


def show(config: Config) -> Config:
    """Return the service's name; the rest of the URL is a secret."""
    return {"url": f"{config['url'].partition('://')[0]}://…"}


def send(config: Config, outgoing: Outgoing, surroundings: Surroundings) -> None:
    """Tell the service."""
    if not surroundings.custom_hosts:
        try:
            check_fixed_host(config["url"])
        except Invalid as error:
            raise NotDelivered(error.message, is_final=True) from None
    notify(config["url"], outgoing)


def check_fixed_host(url: str) -> None:
    """Refuse Apprise URLs that name a host or read a file.

    Raises: Invalid.
    """
    if any(character <= " " or character == "\\" for character in url):
        raise Invalid("the URL holds a space, a backslash or a control character")
    scheme = url.partition("://")[0].lower()
    if scheme not in FIXED_HOSTS:
        raise Invalid(
            f"{scheme}:// is refused: only services with a fixed host are allowed "
            f"({', '.join(sorted(FIXED_HOSTS))}); for your own host use a webhook, or {_ASK}"
        )
    try:
        arguments = {
            name.lower() for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)
        }
    except ValueError as error:
        raise Invalid(f"the URL cannot be read: {error}") from None
    refused = arguments - _ARGUMENTS
    if refused:
        raise Invalid(f"the argument {sorted(refused)[0]!r} is refused in an apprise URL; {_ASK}")


def build(url: str) -> Callable[..., Any]:
    """Let Apprise read a URL.

    Raises: Invalid: it does not understand it.
    """
    # Imported late: a collector without such channels saves its 30 MB.
    from apprise import Apprise, AppriseAsset

    asset = AppriseAsset(
        app_id="kibitz", app_desc="kibitz", async_mode=False, storage_mode="memory"
    )
    asset.http_redirects = False
    asset.image_url_mask = asset.image_url_logo = ""  # no images from a third host
    notifier = Apprise(asset=asset)
    with _said() as said:
        is_understood = notifier.add(url)
    if not is_understood:
        raise Invalid(f"Apprise does not understand this URL{_because(said)}")
    return partial(notifier.notify, body_format="text", interpret_escapes=False)


def notify(url: str, outgoing: Outgoing) -> None:
    """Send one message through Apprise.

    Raises: NotDelivered.
    """
    try:
        notifier = build(url)
    except Invalid as error:
        raise NotDelivered(error.message, is_final=True) from None
    result = notifier(
        title=outgoing.title,
        body=outgoing.text,
        notify_type="success" if outgoing.is_good_news else "failure",
        timeout=TIMEOUT_S,
        log_level=logging.WARNING,
    )
    if not result:
        said = [entry.message for entry in result.logs()]
        raise NotDelivered(f"the service did not take it{_because(said)}")


@contextmanager
def _said() -> Iterator[list[str]]:
    """Collect what Apprise logs on this thread: reading a URL, it says why not only there."""
    lines: list[str] = []
    thread_id = threading.get_ident()

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread_id:
                lines.append(record.getMessage())

    handler = Keep(logging.WARNING)
    logger = logging.getLogger("apprise")
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)


def _because(said: list[str]) -> str:
    return f": {' '.join(' '.join(said).split())[:300]}" if said else ""


KIND = ChannelKind(
    name="apprise",
    description="chat, paging and SMS services by their Apprise URL",
    example={"url": "discord://webhook_id/webhook_token"},
    read=read,
    show=show,
    send=send,
)
