"""An app with many flows at once, on threads and on an event loop, each ten calls deep.

Arguments: URL of the collector, number of flows. Prints, per flow, the Log ids from the root
inwards as each call saw its own, and at last what became of all records.
"""

import asyncio
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import kibitz

DEPTH = 10


@kibitz.flow(path="load/thread_flow")
def thread_flow(number: int) -> list[str]:
    """Nest in one thread, then on through an executor of its own half-way."""
    return [kibitz.current().id, *step(number, DEPTH - 1)]


@kibitz.tool(path="load/step")
def step(number: int, left: int) -> list[str]:
    own = kibitz.current().id
    if left == 1:
        return [own]
    if left == DEPTH // 2:
        with ThreadPoolExecutor(1) as pool:
            return [own, *pool.submit(step, number, left - 1).result()]
    return [own, *step(number, left - 1)]


@kibitz.flow(path="load/task_flow")
async def task_flow(number: int) -> list[str]:
    return [kibitz.current().id, *await task_step(number, DEPTH - 1)]


@kibitz.tool(path="load/task_step")
async def task_step(number: int, left: int) -> list[str]:
    """Nest in one task, through a task of its own, and at last in a thread."""
    own = kibitz.current().id
    await asyncio.sleep(0)  # let the other flows in between
    if left == 1:
        return [own]
    if left == 2:
        return [own, *await asyncio.to_thread(step, number, left - 1)]
    if left % 3 == 0:
        return [own, *await asyncio.create_task(task_step(number, left - 1))]
    return [own, *await task_step(number, left - 1)]


def run_session(number: int) -> list[str]:
    with kibitz.session(f"chat-{number}", user=f"user-{number % 3}"):
        return thread_flow(number)


async def run_task_session(number: int) -> list[str]:
    with kibitz.session(f"chat-{number}", user=f"user-{number % 3}"):
        return await task_flow(number)


def main(collector: str, count: int) -> None:
    kibitz.init(collector, service="load")

    async def run_tasks() -> list[list[str]]:
        return list(await asyncio.gather(*(run_task_session(n) for n in range(1, count, 2))))

    with ThreadPoolExecutor(count) as pool:
        threads = [pool.submit(run_session, number) for number in range(0, count, 2)]
        tasks = asyncio.run(run_tasks())
        chains = [future.result() for future in threads] + tasks
    for chain in chains:
        print(json.dumps(chain))
    print(json.dumps(asdict(kibitz.flush(30))))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
