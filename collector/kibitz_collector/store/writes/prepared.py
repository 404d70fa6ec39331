"""What needs no database before a record is written: its body encoded, its words for the index."""

from dataclasses import dataclass

from kibitz_collector.query.text import body_pieces, index_text
from kibitz_collector.records import LogRecord
from kibitz_collector.store.bodies import EncodedBody, SeenHashes, encode_body


@dataclass(slots=True)
class Prepared:
    """A record with its body encoded: the part that needs no database, done by the caller."""

    record: LogRecord
    body: EncodedBody
    text: str | None = None  # for the text index; None: nobody wants it now

    @property
    def size_bytes(self) -> int:
        """Roughly what it occupies while it waits."""
        return 1000 + 2 * self.body.size_bytes + len(self.text or "")


def prepare(record: LogRecord, seen: SeenHashes, wants_text: bool) -> Prepared:
    """Encode a record's body.

    Raises: whatever a value that is not JSON raises; the record is then for the quarantine.
    """
    body = encode_body(record.body, seen)
    text = None
    if wants_text and body.is_as_given:
        text = index_text(body_pieces(record.kind, record.body))
    return Prepared(record, body, text)
