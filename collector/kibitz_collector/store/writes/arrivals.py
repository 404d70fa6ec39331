"""What ingest tells the evaluation rooms about each Log it has just written."""

from dataclasses import dataclass

from kibitz_collector.records import LogRecord


@dataclass(slots=True, kw_only=True)
class Arrival:
    """One Log as it stands after this write, in the transaction that wrote it.

    `record` is the merged Log (id, session, user and trace id as stored), not only what just came.
    """

    record: LogRecord
    seq: int
    file_id: str | None
    version_id: str | None
    is_new: bool  # not known before this write
    is_final: bool  # complete or failed now: jobs may exist
    was_final: bool  # already so before: this write added to it, or repeated it
    is_patch: bool = False  # the API was told to change it
