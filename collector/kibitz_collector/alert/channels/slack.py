"""Slack channel: an incoming webhook of Slack, through Apprise."""

import re

from kibitz_collector.alert.channels import apprise
from kibitz_collector.alert.channels.outgoing import ChannelKind, Config, Outgoing, Surroundings
from kibitz_collector.errors import Invalid

_URL = re.compile(r"https://hooks\.slack\.com/services/T\w{1,30}/[AB]\w{1,30}/\w{1,60}/?", re.ASCII)


def read(config: Config, surroundings: Surroundings) -> Config:
    """Check that the URL is Slack's."""
    url = config.get("url")
    if not isinstance(url, str) or not _URL.fullmatch(url):
        raise Invalid(
            "a slack channel needs the url of an incoming webhook: "
            "https://hooks.slack.com/services/T…/B…/…"
        )
    apprise.build(url)
    return {"url": url}


def show(config: Config) -> Config:
    """Return the URL up to the team; the rest is a secret."""
    return {"url": "/".join(config["url"].split("/")[:5]) + "/…"}


def send(config: Config, outgoing: Outgoing, surroundings: Surroundings) -> None:
    """Post the message into the webhook's channel."""
    apprise.notify(config["url"], outgoing)


KIND = ChannelKind(
    name="slack",
    description="a Slack channel, by its incoming webhook",
    example={"url": "https://hooks.slack.com/services/T000/B000/XXXX"},
    read=read,
    show=show,
    send=send,
)
