"""Counts how a run's Logs were judged: which judgments stand, and what they add up to. Pure."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kibitz_collector.records import ReturnType
from kibitz_collector.store.queries.evaluations import RunStatus
from kibitz_collector.store.queries.evaluations_logs import RunLogFact, VerdictFact

STALE_NS = 3600 * 1_000_000_000
PERCENTILES = ("0", "25", "50", "75", "90", "95", "99", "99.9", "100")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """An Evaluator's Version that judges an evaluation."""

    evaluator_id: str
    version_id: str
    path: str
    return_type: ReturnType
    options: Sequence[str] = ()
    orchestrated: bool = True  # judged here


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What numbers add up to; None and {}: there are none."""

    mean: float | None = None
    sum: float | None = None
    std: float | None = None
    percentiles: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeStats:
    """How one Evaluator judged one run; which of the sums are of use depends on its return type."""

    judge: Judge
    judged_logs: int  # Logs with at least one verdict
    total: int  # verdicts, abstentions and errors among them
    judgments: int  # verdicts that say something
    nulls: int
    errors: int
    trues: int = 0
    numbers: Numbers = Numbers()
    options: Mapping[str, int] = field(default_factory=dict)

    @property
    def score(self) -> float | None:
        """Return what runs are compared by: the share of true, or the mean; None: there is none."""
        match self.judge.return_type:
            case "boolean":
                return self.trues / self.total if self.total else None
            case "number":
                return self.numbers.mean
            case _:
                return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStats:
    """How one run came out so far."""

    run_id: str
    version_id: str | None
    status: RunStatus
    last_ns: int  # when it was made, its status changed, or its last Log came
    expected: int | None  # datapoints; None: it has no Dataset
    logs: int
    final_logs: int
    error_logs: int
    judges: Sequence[JudgeStats]
    latency_s: Numbers
    cost_usd: Numbers
    tokens: Numbers


def run_stats(
    *,
    run_id: str,
    version_id: str | None,
    status: RunStatus,
    changed_ns: int,
    expected: int | None,
    logs: Iterable[RunLogFact],
    verdicts: Iterable[VerdictFact],
    judges: Sequence[Judge],
) -> RunStats:
    """Add up one run."""
    logs = list(logs)
    standing = standing_verdicts(verdicts, judges)
    return RunStats(
        run_id=run_id,
        version_id=version_id,
        status=status,
        last_ns=max([changed_ns, *(log.received_ns for log in logs)]),
        expected=expected,
        logs=len(logs),
        final_logs=sum(log.is_final for log in logs),
        error_logs=sum(log.is_error for log in logs),
        judges=[judge_stats(judge, standing[judge.version_id]) for judge in judges],
        latency_s=add_up(log.duration_ms / 1000 for log in logs if log.duration_ms is not None),
        cost_usd=add_up(log.cost_usd for log in logs if log.cost_usd is not None),
        tokens=add_up(float(log.tokens) for log in logs if log.tokens is not None),
    )


def standing_verdicts(
    verdicts: Iterable[VerdictFact], judges: Sequence[Judge]
) -> dict[str, list[VerdictFact]]:
    """Return the verdicts that count for each Version: of one judge about one Log, the latest.

    People judge side by side, so each one's counts. A verdict of a Version that is not among these
    counts for another one of its Evaluator whose judgments come from outside: a local function may
    have been changed since it was added.
    """
    by_version = {judge.version_id: judge for judge in judges}
    by_evaluator = {judge.evaluator_id: judge for judge in judges if not judge.orchestrated}
    latest: dict[tuple[str, str, str | None], VerdictFact] = {}
    for one in verdicts:
        judge = by_version.get(one.evaluator_version_id or "") or by_evaluator.get(one.evaluator_id)
        if judge is None:
            continue
        key = (judge.version_id, one.log_id, one.made_by)
        known = latest.get(key)
        if known is None or (known.created_ns, known.seq) < (one.created_ns, one.seq):
            latest[key] = one
    found: dict[str, list[VerdictFact]] = {judge.version_id: [] for judge in judges}
    for (version_id, _log, _user), one in latest.items():
        found[version_id].append(one)
    return found


def judge_stats(judge: Judge, verdicts: Sequence[VerdictFact]) -> JudgeStats:
    """Add up the verdicts of one Evaluator's Version."""
    said = [one for one in verdicts if not one.is_error and _says_something(one)]
    numbers = [one.number for one in said if one.number is not None]
    chosen = Counter(label for one in said for label in dict.fromkeys(one.labels or ()))
    errors = sum(one.is_error for one in verdicts)
    return JudgeStats(
        judge=judge,
        judged_logs=len({one.log_id for one in verdicts}),
        total=len(verdicts),
        judgments=len(said),
        nulls=len(verdicts) - len(said) - errors,
        errors=errors,
        trues=sum(number != 0 for number in numbers) if judge.return_type == "boolean" else 0,
        numbers=add_up(numbers) if judge.return_type == "number" else Numbers(),
        options={name: 0 for name in judge.options} | dict(sorted(chosen.items())),
    )


def add_up(values: Iterable[float]) -> Numbers:
    """Return mean, sum, spread and percentiles of numbers."""
    ordered = sorted(values)
    if not ordered:
        return Numbers()
    total = math.fsum(ordered)
    mean = total / len(ordered)
    spread = math.fsum((value - mean) ** 2 for value in ordered) / len(ordered)
    return Numbers(
        mean=mean,
        sum=total,
        std=math.sqrt(spread),
        percentiles={name: percentile(ordered, float(name)) for name in PERCENTILES},
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return a percentile of sorted numbers; between two of them it is interpolated."""
    place = (len(ordered) - 1) * percent / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    low, high = ordered[below], ordered[above]
    # Not low + (high - low) * …: of two equal numbers nothing else may come out.
    return low if low == high else low * (1 - (place - below)) + high * (place - below)


def overall_status(runs: Sequence[RunStats], now_ns: int) -> RunStatus:
    """Return the status of an evaluation: what is least finished of its runs, newest first.

    An older run that nothing has come for in an hour does not count: who began it may be gone, and
    whoever waits for the newest would wait for ever.
    """
    found = {run.status for run in runs if run is runs[0] or now_ns - run.last_ns < STALE_NS}
    if "running" in found:
        return "running"
    if "pending" in found or not found:
        return "pending"
    return "completed" if "completed" in found else "cancelled"


def _says_something(one: VerdictFact) -> bool:
    return one.number is not None or one.labels is not None or one.has_text
