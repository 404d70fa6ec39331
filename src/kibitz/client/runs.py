"""One run of an evaluation in the collector: begun, told what was judged, waited for, cancelled."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from kibitz.client.connection import Connection
from kibitz.client.judges import Judge, Judgment
from kibitz.client.progress import Progress
from kibitz.errors import ApiError, KibitzError

_POLL_S, _LONGEST_POLL_S = 0.2, 2.0
_RETRIES = 5
_PAGE_SIZE = 100


class Run:
    """A run and the evaluation it belongs to; ids are empty until it has begun."""

    def __init__(self, target: Connection, judges: Sequence[Judge], timeout_s: float) -> None:
        self.target = target
        self.judges = judges
        self.id = self.evaluation_id = ""
        self.url: str | None = None
        self.before: dict[str, float | None] = {}  # scores of the run before, by Version
        self._timeout_s = timeout_s
        self._ends_at = time.monotonic() + timeout_s

    def begin(
        self, name: str, evaluated: tuple[str, str], dataset_version_id: str, *, is_here: bool
    ) -> None:
        """Make what the run belongs to, and the run; `evaluated` are ids of File and Version.

        Raises: ApiError.
        """
        file_id, version_id = evaluated
        for judge in self.judges:
            judge.register(self.target)
        references = [judge.reference() for judge in self.judges]
        body = {"file": {"id": file_id}, "name": name, "evaluators": references}
        try:
            evaluation = self.target.post("/v5/evaluations", body)
        except ApiError as error:
            if error.status != 409:
                raise
            evaluation = self._known(file_id, name)
            known = f"/v5/evaluations/{evaluation['id']}"
            # First: new Evaluators open the runs before this one again.
            self.before = _scores(self.target.get(f"{known}/stats"))
            self.target.post(f"{known}/evaluators", {"evaluators": references}, retries=2)
        self.evaluation_id, self.url = evaluation["id"], evaluation.get("url")
        run = self.target.post(
            f"/v5/evaluations/{self.evaluation_id}/runs",
            {
                "dataset": {"version_id": dataset_version_id},
                "version": {"version_id": version_id},
                "orchestrated": not is_here,
                "use_existing_logs": False,
            },
        )
        self.id = run["id"]

    def _known(self, file_id: str, name: str) -> dict[str, Any]:
        page = 1
        while True:
            query = {"file_id": file_id, "page": page, "size": 50}
            records = self.target.get("/v5/evaluations", query)["records"]
            for one in records:
                if one["name"] == name:
                    found: dict[str, Any] = one
                    return found
            if not records:
                raise KibitzError(f"evaluation {name!r} has vanished")
            page += 1

    def post(
        self, log_id: str, judge: Judge, judgment: Judgment, start_ns: int, end_ns: int
    ) -> Judgment:
        """Tell what an evaluator of the app has said; returns what the collector took.

        Raises: ApiError.
        """
        key = f"{self.id}\n{log_id}\n{judge.version_id}".encode()
        body = {
            "id": judge.id,
            "parent_id": log_id,
            "log_id": f"log_{blake2b(key, digest_size=16).hexdigest()}",  # so that twice is once
            "run_id": self.id,
            "start_time": _iso(start_ns),
            "end_time": _iso(end_ns),
        }
        said = {"judgment": judgment.value, "error": judgment.error}
        query = {"version_id": judge.version_id}
        try:
            self.target.post("/v5/evaluators/log", {**body, **said}, query=query, retries=_RETRIES)
        except ApiError as error:
            if error.status != 422:
                raise
            judgment = Judgment(None, str(error))  # not of the type it has always returned
            said = {"judgment": None, "error": judgment.error}
            self.target.post("/v5/evaluators/log", {**body, **said}, query=query, retries=_RETRIES)
        return judgment

    def wait(self, progress: Progress, *, log_count: int | None = None) -> None:
        """Wait until the run is complete, or has so many Logs.

        Raises: KibitzError: it was cancelled, or it takes too long. ApiError.
        """
        pause_s = _POLL_S
        while True:
            stats = self.target.get(f"/v5/evaluations/{self.evaluation_id}/stats", retries=_RETRIES)
            (mine,) = [one for one in stats["run_stats"] if one["run_id"] == self.id]
            if mine["status"] == "completed":
                return
            if log_count is not None and mine["num_logs"] >= log_count:
                return
            if mine["status"] == "cancelled":
                raise KibitzError(f"run {self.id} was cancelled")
            if time.monotonic() > self._ends_at:
                raise KibitzError(
                    f"run {self.id} was not judged within {self._timeout_s:g} s; see {self.url}"
                )
            progress.show("waiting for the collector")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_POLL_S)

    def judgments_there(self) -> dict[str, dict[str, Judgment]]:
        """Return what the collector's own judges said, by Log and path."""
        there = {judge.id: judge.path for judge in self.judges if judge.function is None}
        if not there:
            return {}
        return {
            one["log"]["id"]: {
                there[log["evaluator"]["id"]]: Judgment(log.get("judgment"), log.get("error"))
                for log in one["evaluator_logs"]
                if log["evaluator"]["id"] in there
            }
            for one in self.logs()
        }

    def logs(self) -> Iterator[dict[str, Any]]:
        """Return the run's Logs, each with its datapoint and judgments."""
        page = 1
        while True:
            query = {"run_id": self.id, "page": page, "size": _PAGE_SIZE}
            answer = self.target.get(f"/v5/evaluations/{self.evaluation_id}/logs", query)
            yield from answer["records"]
            if not answer["records"]:
                return
            page += 1

    def cancel(self) -> None:
        """End the run where it is, if it has begun."""
        path = f"/v5/evaluations/{self.evaluation_id}/runs/{self.id}"
        with suppress(ApiError):  # what made us cancel is the news
            self.target.request("PATCH", path, timeout_s=5, json={"status": "cancelled"})


def _scores(stats: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the scores of the newest complete run, by Evaluator's Version."""
    for run in stats["run_stats"]:
        if run["status"] == "completed":
            return {one["evaluator_version_id"]: _score(one) for one in run["evaluator_stats"]}
    return {}


def _score(stats: Mapping[str, Any]) -> float | None:
    if "num_true" in stats:
        total = stats["total_logs"]
        return stats["num_true"] / total if total else None
    return stats.get("mean")


def _iso(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat()
