"""What every channel is given and may answer: a message, its surroundings, a failure."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kibitz_collector.addresses import Reach

Config = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message at one attempt; `id` is the same at each."""

    id: str
    payload: dict[str, Any]  # see `alert.messages`

    @property
    def title(self) -> str:
        """One line."""
        return str(self.payload["data"]["title"])

    @property
    def text(self) -> str:
        """The message for people."""
        return str(self.payload["data"]["text"])

    @property
    def is_good_news(self) -> bool:
        """Tell whether it says that something is over."""
        return bool(self.payload["type"] == "alert.resolved")

    def body(self) -> bytes:
        """Return the JSON sent to programs; the same bytes at each attempt."""
        return json.dumps(self.payload, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the collector's settings allow channels, and lend them."""

    reach: Reach = field(default_factory=Reach)
    custom_hosts: bool = False  # Apprise may be given hosts
    smtp_url: str | None = None


class NotDelivered(Exception):
    """A channel could not deliver; the message says why.

    `is_final`: trying again is useless. `retry_after_s`: the receiver's wish.
    """

    def __init__(
        self, reason: str, *, is_final: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_final = is_final
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelKind:
    """One way of telling: three functions.

    `read` checks what a user gave and returns the whole of it (kept sealed); `show` returns what of
    it may be shown; `send` delivers or raises NotDelivered.
    """

    name: str
    description: str
    example: Config
    read: Callable[[Config, Surroundings], Config]
    show: Callable[[Config], Config]
    send: Callable[[Config, Outgoing, Surroundings], None]
