"""Evaluations whose outputs the collector makes: of its Prompts, Tools and Agents."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kibitz.client.connection import Connection
from kibitz.client.datasets import Datapoint, Dataset
from kibitz.client.judges import Judge, Judgment
from kibitz.client.progress import Progress
from kibitz.client.results import Row
from kibitz.client.runs import Run
from kibitz.errors import ConfigError, KibitzError

_CALLED_THERE = ("prompt", "tool", "agent")


def check_types(judges: Sequence[Judge]) -> None:
    """Refuse functions that do not say what they return: nothing is run to find out.

    Raises: ConfigError.
    """
    for judge in judges:
        if judge.function is not None and judge.return_type is None:
            raise ConfigError(
                f"evaluator {judge.path!r} must say what it returns (`-> bool`, `-> float`, …)"
            )


def find_evaluated(target: Connection, path: str) -> tuple[str, str]:
    """Return the ids of the File at a path and of the Version that is deployed.

    Raises: ApiError. KibitzError: the collector cannot call it.
    """
    answer = target.post("/v5/files/retrieve-by-path", {"path": path}, retries=2)
    if answer["type"] not in _CALLED_THERE:
        raise KibitzError(
            f"{path!r} is a File of type {answer['type']}, which the collector cannot call; "
            "give evaluate() the function instead"
        )
    return answer["id"], answer["version_id"]


def run_there(
    run: Run, evaluated: tuple[str, str], data: Dataset, name: str, workers: int, progress: Progress
) -> list[Row]:
    """Have the collector make all outputs, judge them here and there; rows as in the dataset.

    Raises: ApiError, KibitzError.
    """
    run.begin(name, evaluated, data.version_id, is_here=False)
    known = {datapoint.id: datapoint for datapoint in data.datapoints}
    try:
        run.wait(progress, log_count=len(known))
        made = {
            one["datapoint"]["id"]: one["log"]
            for one in run.logs()
            if (one.get("datapoint") or {}).get("id") in known
        }

        def judge_here(datapoint: Datapoint) -> dict[str, Judgment]:
            return _judge(run, made[datapoint.id], datapoint)

        judged = [datapoint for datapoint in data.datapoints if datapoint.id in made]
        with ThreadPoolExecutor(workers, thread_name_prefix="kibitz-evaluate") as pool:
            here = dict(zip((one.id for one in judged), pool.map(judge_here, judged), strict=True))
        run.wait(progress)
        there = run.judgments_there()
    except BaseException:
        run.cancel()
        raise
    return [_row(datapoint, made[datapoint.id], here[datapoint.id], there) for datapoint in judged]


def _judge(run: Run, log: dict[str, Any], datapoint: Datapoint) -> dict[str, Judgment]:
    judgments = {}
    for judge in run.judges:
        if judge.function is not None:
            start_ns = time.time_ns()
            said = judge.judge(log, datapoint.target)
            judgments[judge.path] = run.post(log["id"], judge, said, start_ns, time.time_ns())
    return judgments


def _row(
    datapoint: Datapoint,
    log: dict[str, Any],
    here: dict[str, Judgment],
    there: dict[str, dict[str, Judgment]],
) -> Row:
    return Row(
        datapoint.id,
        log["id"],
        datapoint.inputs,
        log.get("output"),
        log.get("error"),
        {**here, **there.get(log["id"], {})},
    )
