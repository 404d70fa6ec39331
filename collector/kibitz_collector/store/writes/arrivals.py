"""What ingest tells the evaluation rooms about each Log it has just written."""

from dataclasses import dataclass

from kibitz_collector.records import FileReference, Judgment, LogBody, LogRecord
from kibitz_collector.store.bodies import Values, to_body
from kibitz_collector.store.rows import Row, to_record


@dataclass(slots=True)
class Arrival:
    """One Log as it stands after this write, in the transaction that wrote it."""

    row: Row
    body: LogBody | Values  # values: of what came in several pieces
    file: FileReference | None
    judgment: Judgment | None = None
    is_patch: bool = False  # the API was told to change it
    _record: LogRecord | None = None

    @property
    def is_judgment(self) -> bool:
        """Tell whether it is a judgment, of whatever origin."""
        return self.judgment is not None or self.row["kind"] == "evaluator"

    def record(self) -> LogRecord:
        """Return the merged Log (id, session, user and trace id as stored), not only what came.

        Made when first asked for: most Logs are of no interest to any monitor.
        """
        if self._record is None:
            body = self.body if isinstance(self.body, LogBody) else to_body(self.body)
            self._record = to_record(self.row, body, self.file)
            self._record.judgment = self.judgment
        return self._record
