"""Compares the runs of an evaluation in one table, as text for a terminal. Pure; ASCII."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kibitz_collector.evaluations.stats import JudgeStats, Numbers, RunStats

MAX_COLUMNS = 4
_WIDEST = 34
_LONGEST = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a report calls things."""

    evaluation: str
    file: str | None
    url: str
    versions: Mapping[str, str] = field(default_factory=dict)  # name or path, by Version
    datasets: Mapping[str, str] = field(default_factory=dict)  # by run
    failures: Mapping[str, str] = field(default_factory=dict)  # a reason, by what failed


def report_text(runs: Sequence[RunStats], named: Named, control_id: str | None = None) -> str:
    """Return a table with a column for each run, newest first, and a row for each Evaluator.

    The others are compared with the control run, or, without one, each with the run before it.
    """
    title = f"Evaluation {named.evaluation!r}" + (f" of {named.file}" if named.file else "")
    if not runs:
        return f"\n{title}: no runs yet\n"
    shown = _shown(runs, control_id)
    others = {run.run_id: _compared_with(run, runs, control_id) for run in shown}
    sections = [_about(shown, runs, named, control_id), _judged(shown, others), _spent(shown)]
    lines = ["", title, *_table([rows for rows in sections if rows])]
    lines += [
        f"{what} failed in run {len(runs)}: {_one_line(why)}"
        for what, why in named.failures.items()
    ]
    left_out = len(runs) - len(shown)
    if left_out:
        lines.append(f"{left_out} more {'run is' if left_out == 1 else 'runs are'} at {named.url}")
    return "\n".join(lines) + "\n"


def _shown(runs: Sequence[RunStats], control_id: str | None) -> list[RunStats]:
    """Return the newest runs, the control run among them."""
    shown = list(runs[:MAX_COLUMNS])
    control = next((run for run in runs if run.run_id == control_id), None)
    if control is not None and control not in shown:
        shown[-1] = control
    return shown


def _compared_with(
    run: RunStats, runs: Sequence[RunStats], control_id: str | None
) -> RunStats | None:
    if control_id is not None:
        control = next((one for one in runs if one.run_id == control_id), None)
        return None if control is run else control
    older = runs[runs.index(run) + 1 :]
    return older[0] if older else None


Row = list[list[str]]
"""The cells of one row, each a list of lines; the first is its name."""


def _about(
    shown: Sequence[RunStats], runs: Sequence[RunStats], named: Named, control_id: str | None
) -> list[Row]:
    numbers = {run.run_id: len(runs) - place for place, run in enumerate(runs)}

    def heading(run: RunStats) -> list[str]:
        control = " (control)" if run.run_id == control_id else ""
        return [f"Run {numbers[run.run_id]}{control}", run.run_id]

    def version(run: RunStats) -> list[str]:
        name = named.versions.get(run.version_id or "")
        return [one for one in (name, run.version_id) if one] or ["-"]

    def logs(run: RunStats) -> list[str]:
        expected = "" if run.expected is None else f" of {run.expected}"
        errors = [f"{run.error_logs} failed"] if run.error_logs else []
        return [f"{run.final_logs}{expected}", *errors]

    return [
        [[""], *map(heading, shown)],
        [["Version"], *map(version, shown)],
        [["Dataset"], *([named.datasets.get(run.run_id, "-")] for run in shown)],
        [["Status"], *([str(run.status)] for run in shown)],
        [["Logs"], *map(logs, shown)],
    ]


def _judged(shown: Sequence[RunStats], others: Mapping[str, RunStats | None]) -> list[Row]:
    rows = []
    for place, one in enumerate(shown[0].judges):
        row = [[one.judge.path]]
        for run in shown:
            other = others[run.run_id]
            before = None if other is None else other.judges[place]
            row.append(verdict_lines(run.judges[place], before))
        rows.append(row)
    return rows


def verdict_lines(one: JudgeStats, other: JudgeStats | None = None) -> list[str]:
    """Say how an Evaluator judged a run, and how that differs from another run."""
    lines = _value(one, other) if one.judgments else ["-"]
    missing = [(one.nulls, "null"), (one.errors, "failed")]
    said = ", ".join(f"{count} {word}" for count, word in missing if count)
    return [*lines, said] if said else lines


def _value(one: JudgeStats, other: JudgeStats | None) -> list[str]:
    numbers = one.numbers
    match one.judge.return_type:
        case "boolean":
            share = 100 * one.trues / one.total
            change = _change(one, other, scale=100, unit="%")
            return [f"{share:.1f}% true{change}", f"{one.trues} of {one.total}"]
        case "number":
            assert numbers.mean is not None
            assert numbers.std is not None
            spread = f"std {_short(numbers.std)}, median {_short(numbers.percentiles['50'])}"
            return [f"{_short(numbers.mean)}{_change(one, other)}", spread]
        case "text":
            return [f"{one.judgments} {'text' if one.judgments == 1 else 'texts'}"]
    return [
        f"{name}: {count} ({100 * count / one.judgments:.0f}%)"
        for name, count in one.options.items()
    ]


def _change(one: JudgeStats, other: JudgeStats | None, *, scale: int = 1, unit: str = "") -> str:
    if other is None or one.score is None or other.score is None:
        return ""
    change = scale * (one.score - other.score)
    return f" ({change:+.1f}{unit})" if unit else f" ({'+' if change >= 0 else ''}{_short(change)})"


def _spent(shown: Sequence[RunStats]) -> list[Row]:
    rows: list[Row] = [
        [["Latency"], *([*_latency(run.latency_s)] for run in shown)],
        [["Cost"], *([*_sum(run.cost_usd, "${:.6f}")] for run in shown)],
        [["Tokens"], *([*_sum(run.tokens, "{:.0f}")] for run in shown)],
    ]
    return [row for row in rows if any(cell != ["-"] for cell in row[1:])]


def _latency(numbers: Numbers) -> list[str]:
    if numbers.mean is None:
        return ["-"]
    return [f"{_seconds(numbers.mean)} a Log", f"p95 {_seconds(numbers.percentiles['95'])}"]


def _sum(numbers: Numbers, form: str) -> list[str]:
    if numbers.mean is None:
        return ["-"]
    return [f"{form.format(numbers.sum)} in all", f"{form.format(numbers.mean)} a Log"]


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _table(sections: Sequence[Sequence[Row]]) -> list[str]:
    rows = [row for section in sections for row in section]
    widths = [
        min(_WIDEST, max(len(line) for row in rows for line in row[column]))
        for column in range(len(rows[0]))
    ]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    lines = [rule]
    for section in sections:
        for row in section:
            lines += _drawn(row, widths)
        lines.append(rule)
    return lines


def _drawn(row: Row, widths: Sequence[int]) -> list[str]:
    height = max(len(cell) for cell in row)
    lines = []
    for at in range(height):
        parts = [
            f" {_cut(cell[at] if at < len(cell) else '', width):<{width}} "
            for cell, width in zip(row, widths, strict=True)
        ]
        lines.append("|" + "|".join(parts) + "|")
    return lines


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _one_line(text: str) -> str:
    joined = " ".join(text.split())
    # Of a traceback the end says what went wrong.
    return joined if len(joined) <= _LONGEST else f"...{joined[3 - _LONGEST :]}"


def _short(number: float) -> str:
    return f"{number:.4g}" if abs(number) < 1e6 else f"{number:.3e}"
