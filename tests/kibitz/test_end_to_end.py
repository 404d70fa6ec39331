"""Decorated calls through the real runtime, spool and sender to a collector on a socket."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import kibitz
from kibitz import semconv as sc
from tests.kibitz.local_collector import LocalCollector, local_collector


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[LocalCollector]:
    with local_collector() as found:
        kibitz.init(found.url, spool_dir=tmp_path / "spool", service="svc")
        yield found
        kibitz.shutdown(2.0)
        found.released.set()


def test_nested_calls_and_a_verdict_arrive_once(collector: LocalCollector) -> None:
    @kibitz.tool(path="leaf")
    async def leaf(n: int) -> int:
        await asyncio.sleep(0)
        return n

    @kibitz.flow(path="flow")
    def flow(n: int) -> str:
        asyncio.run(leaf(n))
        return kibitz.current().id

    with kibitz.session("chat-42", user="u1"), ThreadPoolExecutor(4) as pool:
        log_ids = list(pool.map(flow, range(20)))
    kibitz.judge(log_ids[0], "rating", "good")
    result = kibitz.flush(10)
    assert (result.spooled, result.dropped, result.rejected) == (0, 0, 0)
    finished = [
        span
        for request in collector.requests
        for span in request.spans
        if span["endTimeUnixNano"] != "0"
    ]
    flows = {each["spanId"]: each for each in finished if each["name"] == "flow"}
    leaves = [each for each in finished if each["name"] == "leaf"]
    assert (len(flows), len(leaves)) == (20, 20)
    assert {each["parentSpanId"] for each in leaves} == set(flows)
    for each in flows.values():
        attributes = {item["key"]: item["value"] for item in each["attributes"]}
        assert attributes[sc.SESSION_ID] == {"stringValue": "chat-42"}
        log_id = json.loads(attributes[sc.LOG_OUTPUT]["stringValue"])
        assert log_id == kibitz.ids.log_id_from_hex(each["traceId"], each["spanId"])
        assert log_id in log_ids
    (record,) = [each for request in collector.requests for each in request.log_records]
    assert record["eventName"] == sc.EVALUATION_EVENT
