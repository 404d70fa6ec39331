"""Twelve ways a generator's life can end, sync and async: one span each, no context left behind."""

import asyncio
import contextvars
import gc
import logging
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

import kibitz
from kibitz import semconv as sc
from kibitz.testing import Spans


@kibitz.tool
def step(n: int) -> int:
    return n


@kibitz.flow(path="stream")
def stream(n: int = 3, fail_at: int | None = None) -> Iterator[int]:
    for i in range(n):
        if i == fail_at:
            raise ValueError("broken")
        yield step(i)


@kibitz.flow(path="stream")
async def astream(n: int = 3, fail_at: int | None = None) -> AsyncIterator[int]:
    for i in range(n):
        await asyncio.sleep(0)
        if i == fail_at:
            raise ValueError("broken")
        yield step(i)


@pytest.fixture(autouse=True)
def nothing_is_left(spans: Spans, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert not kibitz.current()
    assert "Failed to detach" not in caplog.text
    found = [each for each in spans.as_dicts() if each["name"] == "stream"]
    assert len(found) == 1, "the span ends exactly once"
    for child in spans.as_dicts():
        if child["name"] == "step":
            assert child["parent_id"] == found[0]["span_id"]


def is_abandoned(spans: Spans) -> bool:
    return spans.named("stream")["attributes"].get(sc.FINISH_REASONS) == [sc.ABANDONED]


def test_exhausted(spans: Spans) -> None:
    for _ in stream():
        assert not kibitz.current(), "between two steps our span is not current"
    assert spans.named("stream")["attributes"][sc.LOG_OUTPUT] == "[0,1,2]"
    assert not is_abandoned(spans)


def test_broken_off(spans: Spans) -> None:
    for _ in stream():
        break
    gc.collect()
    assert spans.named("stream")["attributes"][sc.LOG_OUTPUT] == "[0]"
    assert is_abandoned(spans)


def test_closed(spans: Spans) -> None:
    generator = stream()
    next(generator)
    generator.close()  # type: ignore[attr-defined]
    generator.close()  # type: ignore[attr-defined]
    assert is_abandoned(spans)


def test_thrown_into(spans: Spans) -> None:
    generator = stream()
    next(generator)
    with pytest.raises(KeyError):
        generator.throw(KeyError("host"))  # type: ignore[attr-defined]
    assert spans.named("stream")["attributes"][sc.ERROR_TYPE] == "KeyError"


def test_raising(spans: Spans) -> None:
    with pytest.raises(ValueError, match="broken"):
        list(stream(fail_at=1))
    assert spans.named("stream")["error"] == "broken"


def test_never_begun(spans: Spans) -> None:
    generator = stream()
    del generator
    gc.collect()
    assert is_abandoned(spans)


def test_closed_in_another_thread_and_context(spans: Spans) -> None:
    generator = contextvars.copy_context().run(stream)
    contextvars.copy_context().run(next, generator)
    thread = threading.Thread(target=generator.close)  # type: ignore[attr-defined]
    thread.start()
    thread.join()
    assert is_abandoned(spans)


def test_stepped_in_different_contexts(spans: Spans) -> None:
    generator = stream()
    got = [contextvars.copy_context().run(next, generator, None) for _ in range(4)]
    assert got == [0, 1, 2, None]
    assert not is_abandoned(spans)


async def test_async_exhausted(spans: Spans) -> None:
    assert [each async for each in astream()] == [0, 1, 2]
    assert not is_abandoned(spans)


async def test_async_broken_off(spans: Spans) -> None:
    async for _ in astream():
        break
    gc.collect()
    for _ in range(5):
        await asyncio.sleep(0)
    assert is_abandoned(spans)


async def test_async_closed_from_another_task(spans: Spans) -> None:
    generator = astream()
    await asyncio.create_task(anext(generator))  # type: ignore[arg-type]
    await asyncio.create_task(generator.aclose())  # type: ignore[attr-defined]
    assert is_abandoned(spans)


async def test_async_thrown_into(spans: Spans) -> None:
    generator = astream()
    await anext(generator)
    with pytest.raises(KeyError):
        await generator.athrow(KeyError("host"))  # type: ignore[attr-defined]
    assert spans.named("stream")["attributes"][sc.ERROR_TYPE] == "KeyError"


async def test_async_raising(spans: Spans) -> None:
    with pytest.raises(ValueError, match="broken"):
        [each async for each in astream(fail_at=2)]
    assert spans.named("stream")["attributes"][sc.LOG_OUTPUT] == "[0,1]"


async def test_async_consumer_cancelled(spans: Spans) -> None:
    async def consume() -> None:
        async for _ in astream(1000):
            await asyncio.sleep(0)

    task = asyncio.create_task(consume())
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gc.collect()
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(spans.raw()) > 1


def test_async_whose_loop_is_gone(spans: Spans) -> None:
    loop = asyncio.new_event_loop()
    generator = astream()
    loop.run_until_complete(anext(generator))  # type: ignore[arg-type]
    loop.close()
    del generator
    gc.collect()
    assert is_abandoned(spans)


def test_sent_values_and_return_values_pass(spans: Spans) -> None:
    @kibitz.flow(path="stream")
    def echo() -> Iterator[int]:
        got = yield 1
        got = yield got
        return got  # type: ignore[return-value]

    generator = echo()
    assert next(generator) == 1
    assert generator.send(5) == 5  # type: ignore[attr-defined]
    with pytest.raises(StopIteration) as stop:
        generator.send(9)  # type: ignore[attr-defined]
    assert stop.value.value == 9
    assert logging.getLogger("kibitz").level == logging.NOTSET
