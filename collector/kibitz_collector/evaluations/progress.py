"""How far runs have come, as text for a terminal. Pure; ASCII, because logs of CI are read too."""

from collections.abc import Iterable

from kibitz_collector.evaluations.stats import RunStats

_BAR = 24


def progress_text(runs: Iterable[RunStats]) -> str:
    """Return a bar for the Logs and for each Evaluator of every run that is not finished.

    Nothing, when all are; else it ends with a line break, so that the next one stands below.
    """
    blocks = [_block(run) for run in runs if run.status in ("pending", "running")]
    return "\n".join(blocks) + "\n" if blocks else ""


def _block(run: RunStats) -> str:
    expected = run.logs if run.expected is None else max(run.expected, run.logs)
    rows = [("Logs", run.final_logs, expected)]
    rows += [(one.judge.path, min(one.judged_logs, expected), expected) for one in run.judges]
    width = min(40, max(len(name) for name, _, _ in rows))
    lines = [f"Run {run.run_id}: {run.status}"]
    lines += [f"  {_cut(name, width):<{width}}  {_bar(n, of)}" for name, n, of in rows]
    waiting = [one.judge.path for one in run.judges if not one.judge.orchestrated]
    if run.expected is not None and run.final_logs >= run.expected and waiting:
        left = [
            one.judge.path
            for one in run.judges
            if not one.judge.orchestrated and one.judged_logs < run.logs
        ]
        if left:
            lines.append(f"  waits for judgments of {', '.join(left)}")
    return "\n".join(lines)


def _bar(done: int, of: int) -> str:
    filled = _BAR * done // of if of else _BAR
    percent = 100 * done // of if of else 100
    return f"[{'#' * filled}{'-' * (_BAR - filled)}] {done}/{of} ({percent}%)"


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else f"...{name[-(width - 3) :]}"
