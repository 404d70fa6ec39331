"""What a caller says about the Log of a call, apart from what is called."""

from dataclasses import dataclass

from kibitz_collector.files.ids import random_id
from kibitz_collector.records import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Labels of a Log; times are the caller's, None: those of the call itself."""

    log_id: str | None = None
    trace_parent_id: str | None = None
    session_id: str | None = None
    environment: str | None = None  # a label; chooses no Version
    user: str | None = None
    source: str | None = None
    metadata: Json | None = None
    run_id: str | None = None
    datapoint_id: str | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    is_incomplete: bool = False
    is_saved: bool = True  # False: the Log is kept, what went in and came out is not

    def below(self, log_id: str) -> "Labels":
        """Return the labels of a Log below the one of this id."""
        return Labels(
            trace_parent_id=log_id,
            session_id=self.session_id,
            environment=self.environment,
            user=self.user,
            is_saved=self.is_saved,
        )

    def choose_id(self, index: int = 0) -> str:
        """Return the id of the Log of this sample; a chosen one belongs to the first."""
        return self.log_id if self.log_id and index == 0 else random_id("log_")
