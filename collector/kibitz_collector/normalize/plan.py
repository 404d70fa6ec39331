"""What can be known of a span from the names of its attributes alone; made once for all alike."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kibitz_collector.normalize import values
from kibitz_collector.normalize.fields import Read
from kibitz_collector.records import Json, Message

if TYPE_CHECKING:
    from kibitz_collector.normalize.reading import Reading

MessageReader = Callable[["Reading"], list[Message]]
OutputReader = Callable[["Reading"], "Message | None"]


class Flat:
    """The attributes under one prefix, `a.0.b`-style keys that make one list or object."""

    __slots__ = ("names", "shape", "turns")

    def __init__(self, names: tuple[tuple[str, str], ...]) -> None:
        self.names = names  # (attribute, rest of its name)
        places = values.shape(tuple(rest for _, rest in names))
        # Lists and objects as the names make them; in place of each value, its attribute.
        self.shape: Any = values.fill(places, [name for name, _ in names])
        # (attribute of the role, of the content) of each `<i>.message`; None: they hold more.
        self.turns = _turns(self.shape)

    def pairs(self, attributes: Json) -> list[tuple[str, Any]]:
        """Return the rest of each name, and the value."""
        return [(rest, attributes[name]) for name, rest in self.names]

    def build(self, attributes: Json) -> Any:
        """Return the list or object these attributes make."""
        return values.fill(self.shape, attributes)


def _turns(shape: Any) -> list[tuple[str | None, str]] | None:
    turns: list[tuple[str | None, str]] = []
    for item in shape if shape.__class__ is list else ({},):
        message = item.get("message") if item.__class__ is dict and len(item) == 1 else None
        if message.__class__ is not dict or not message.keys() <= {"role", "content"}:
            return None
        role, content = message.get("role"), message.get("content")
        if content.__class__ is not str or role.__class__ not in (str, type(None)):
            return None
        turns.append((role, content))
    return turns


@dataclass(frozen=True, slots=True)
class Plan:
    """Where to look in a span with certain attributes; spans of one origin all have the same."""

    fields: list[tuple[str, str, Read]]  # field, the one attribute that may fill it
    contested: list[tuple[str, list[tuple[str, Read]]]]  # field -> attributes, best-ranked first
    sources: dict[str, str]  # field -> its attribute, of `fields`
    flat: dict[str, Flat]  # by prefix
    may: frozenset[str]  # attributes, their prefixes and the fields they may fill
    parameters: tuple[str, ...]  # fields that are parameters of a model call, in order
    messages: tuple[tuple[str, MessageReader], ...]  # who may find messages in the attributes
    outputs: tuple[tuple[str, OutputReader], ...]
