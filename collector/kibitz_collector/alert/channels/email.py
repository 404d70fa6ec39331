"""E-mail channel: the admin's mail server (`KIBITZ_SMTP_URL`), through Apprise."""

import re
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from kibitz_collector.alert.channels import apprise
from kibitz_collector.alert.channels.outgoing import (
    ChannelKind,
    Config,
    NotDelivered,
    Outgoing,
    Surroundings,
)
from kibitz_collector.errors import Invalid

MAX_RECIPIENTS = 50
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,250}")
_PORTS = {"smtp": 25, "smtps": 465}


def read(config: Config, surroundings: Surroundings) -> Config:
    """Check the recipients, and that there is a mail server."""
    to = config.get("to")
    recipients = [to] if isinstance(to, str) else to
    if not isinstance(recipients, list) or not 0 < len(recipients) <= MAX_RECIPIENTS:
        raise Invalid(f"an email channel needs `to`: a list of 1 to {MAX_RECIPIENTS} addresses")
    for recipient in recipients:
        if not isinstance(recipient, str) or not _ADDRESS.fullmatch(recipient):
            raise Invalid(f"{recipient!r} is no e-mail address")
    if surroundings.smtp_url is None:
        raise Invalid("e-mail needs a mail server: start the collector with KIBITZ_SMTP_URL")
    apprise.build(apprise_url(surroundings.smtp_url, recipients))
    return {"to": recipients}


def show(config: Config) -> Config:
    """Return the recipients."""
    return {"to": config["to"]}


def send(config: Config, outgoing: Outgoing, surroundings: Surroundings) -> None:
    """Mail the message to all recipients."""
    if surroundings.smtp_url is None:
        raise NotDelivered("the collector runs without KIBITZ_SMTP_URL")
    try:
        url = apprise_url(surroundings.smtp_url, config["to"])
    except Invalid as error:
        raise NotDelivered(error.message) from None
    apprise.notify(url, outgoing)


def apprise_url(smtp_url: str, recipients: list[str]) -> str:
    """Turn `smtp(s)://user:password@host:port?from=address` into Apprise's form.

    Raises: Invalid: it is not of that form.
    """
    try:
        parts = urlsplit(smtp_url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise Invalid("KIBITZ_SMTP_URL must be smtp(s)://user:password@host:port") from None
    if not parts.hostname:
        raise Invalid("KIBITZ_SMTP_URL names no host")
    user = unquote(parts.username or "")
    sender = parse_qs(parts.query).get(
        "from", [user if "@" in user else f"kibitz@{parts.hostname}"]
    )
    # Port 465 speaks TLS from the first byte, others begin plain and upgrade.
    mode = "insecure" if parts.scheme == "smtp" else "ssl" if port == 465 else "starttls"
    scheme = "mailto" if parts.scheme == "smtp" else "mailtos"
    arguments = {
        "smtp": parts.hostname,
        "from": sender[0],
        "to": ",".join(recipients),
        "mode": mode,
        "format": "text",
    }
    if user:
        arguments |= {"user": user, "pass": unquote(parts.password or "")}
    return f"{scheme}://{quote(parts.hostname)}:{port}?{urlencode(arguments)}"


KIND = ChannelKind(
    name="email",
    description="e-mail, by the collector's mail server",
    example={"to": ["oncall@example.com"]},
    read=read,
    show=show,
    send=send,
)
