import asyncio
import concurrent.futures
import pickle
import random
import threading

import kibitz
from kibitz import _runtime, _threads
from kibitz.testing import Spans, capture


@kibitz.tool
def work(name: str = "") -> str:
    return kibitz.current().id


def read_elsewhere() -> str:
    return kibitz.inject({})["traceparent"]


def test_executors_threads_and_run_in_executor_keep_the_parent(spans: Spans) -> None:
    @kibitz.flow
    async def outer() -> None:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            pool.submit(work).result()
            list(pool.map(work, ["a", "b"]))
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        await asyncio.get_running_loop().run_in_executor(None, work)
        await asyncio.to_thread(work)

    asyncio.run(outer())
    root = spans.named("outer")["span_id"]
    found = [each["parent_id"] for each in spans.as_dicts() if each["name"] == "work"]
    assert found == [root] * 6


def test_a_pool_s_thread_does_not_stay_under_who_made_it(spans: Spans) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:

        @kibitz.flow
        def outer() -> None:
            pool.submit(work).result()

        outer()
        pool.submit(work).result()
    parents = [each["parent_id"] for each in spans.as_dicts() if each["name"] == "work"]
    assert parents == [spans.named("outer")["span_id"], None]


def test_a_thread_of_a_subclass_keeps_its_run(spans: Spans) -> None:
    class Worker(threading.Thread):
        def run(self) -> None:
            assert "run" not in self.__dict__
            work()

    @kibitz.flow
    def outer() -> None:
        worker = Worker()
        worker.start()
        worker.join()

    outer()
    assert spans.tree() == {"outer": {"work": {}}}


def test_it_can_be_switched_off_and_undone() -> None:
    with capture(patch_threads=False) as spans:
        assert concurrent.futures.ThreadPoolExecutor.submit is _threads._original_submit

        @kibitz.flow
        def outer() -> None:
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()

        outer()
    assert spans.named("work")["parent_id"] is None
    _runtime.install(None)


def test_propagate_carries_into_any_thread_and_process(spans: Spans) -> None:
    carried = []

    @kibitz.flow
    def outer() -> None:
        carried.append(kibitz.propagate(work))
        carried.append(pickle.loads(pickle.dumps(kibitz.propagate(read_elsewhere))))

    with kibitz.session("s"):
        outer()
    carried[0]("later")
    root = spans.named("outer")
    assert spans.named("work")["parent_id"] == root["span_id"]
    assert carried[1]() == f"00-{root['trace_id']}-{root['span_id']}-01"


def test_fifty_flows_of_ten_calls_mixed_over_threads_and_tasks() -> None:
    @kibitz.tool(path="leaf")
    def leaf(flow: int, n: int) -> None: ...

    @kibitz.tool(path="async_leaf")
    async def async_leaf(flow: int, n: int) -> None:
        await asyncio.sleep(random.random() / 1000)

    @kibitz.flow(path="flow")
    async def run(flow: int) -> None:
        loop = asyncio.get_running_loop()
        jobs = [
            async_leaf(flow, n)
            if n % 3 == 0
            else loop.run_in_executor(pool, leaf, flow, n)
            if n % 3 == 1
            else asyncio.to_thread(leaf, flow, n)
            for n in range(10)
        ]
        await asyncio.gather(*jobs)

    async def many(flows: range) -> None:
        await asyncio.gather(*(run(flow) for flow in flows))

    with capture() as spans, concurrent.futures.ThreadPoolExecutor(4) as pool:
        threads = [
            threading.Thread(target=asyncio.run, args=(many(range(first, first + 10)),))
            for first in range(0, 50, 10)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = spans.as_dicts()
    flows = {each["span_id"]: each for each in found if each["name"] == "flow"}
    leaves = [each for each in found if each["name"] != "flow"]
    assert (len(flows), len(leaves)) == (50, 500)
    assert len({each["span_id"] for each in found}) == 550
    for each in leaves:
        parent = flows[each["parent_id"]]
        assert each["trace_id"] == parent["trace_id"]
        number = parent["attributes"]["kibitz.log.inputs"].removesuffix("}")
        assert each["attributes"]["kibitz.log.inputs"].startswith(number + ",")
