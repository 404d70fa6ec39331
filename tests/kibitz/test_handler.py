"""`@kibitz.handler`: what a serverless function recorded is sent before it returns."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kibitz
from kibitz import _directory
from tests.kibitz.local_collector import LocalCollector, always, local_collector, well


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[LocalCollector]:
    with local_collector() as found:
        kibitz.init(found.url, spool_dir=tmp_path / "spool", service="function")
        yield found
        found.behave = well
        found.released.set()
        kibitz.shutdown(2.0)


class LambdaContext:
    """The part of AWS Lambda's context that tells the time."""

    aws_request_id = "7a1b"

    def __init__(self, remaining_ms: int) -> None:
        self._until = time.monotonic() + remaining_ms / 1000

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._until - time.monotonic()) * 1000))


def test_all_is_sent_when_a_function_returns(collector: LocalCollector) -> None:
    @kibitz.handler(timeout_s=20)
    @kibitz.flow(path="fn/answer")
    def answer(event: dict[str, Any], context: Any) -> dict[str, Any]:
        return {"statusCode": 200, "body": event["q"]}

    assert answer({"q": "hi"}, LambdaContext(30_000)) == {"statusCode": 200, "body": "hi"}
    assert [span["name"] for span in collector.spans] == ["fn/answer"]
    assert answer.__name__ == "answer"


async def test_all_is_sent_when_an_async_function_returns(collector: LocalCollector) -> None:
    @kibitz.handler(timeout_s=20)
    @kibitz.flow(path="fn/answer")
    async def answer(event: dict[str, Any], context: Any) -> str:
        await asyncio.sleep(0)
        return "done"

    assert await answer({}, None) == "done"
    assert [span["name"] for span in collector.spans] == ["fn/answer"]


def test_a_function_that_only_returns_a_coroutine_is_followed(collector: LocalCollector) -> None:
    @kibitz.flow(path="fn/inner")
    async def inner() -> str:
        return "done"

    @kibitz.handler(timeout_s=20)
    def answer(event: object, context: object) -> Any:
        return inner()

    assert asyncio.run(answer({}, None)) == "done"
    assert [span["name"] for span in collector.spans] == ["fn/inner"]


def test_an_error_passes_unchanged_and_is_sent_before(collector: LocalCollector) -> None:
    error = LookupError("no such order")

    @kibitz.handler(timeout_s=20)
    @kibitz.flow(path="fn/answer")
    def answer(event: object, context: object) -> None:
        raise error

    with pytest.raises(LookupError) as caught:
        answer({}, None)
    assert caught.value is error
    assert [span["status"]["message"] for span in collector.spans] == ["no such order"]


def test_a_dead_collector_holds_the_answer_up_no_longer_than_asked(
    collector: LocalCollector,
) -> None:
    collector.behave = always(503)

    @kibitz.handler(timeout_s=0.3)
    @kibitz.flow
    def answer(event: object, context: object) -> int:
        return 1

    started = time.monotonic()
    assert answer({}, None) == 1
    assert time.monotonic() - started < 1.3  # 0.3 on a quiet machine
    collector.behave = well
    assert kibitz.flush(20).spooled == 0  # nothing was lost


@pytest.mark.parametrize("remaining_ms", [150, 50, 0])
def test_the_platform_s_own_limit_is_kept(collector: LocalCollector, remaining_ms: int) -> None:
    collector.behave = collector.hang

    @kibitz.handler(timeout_s=30)
    @kibitz.flow
    def answer(event: object, context: object) -> int:
        return 1

    started = time.monotonic()
    assert answer({}, LambdaContext(remaining_ms)) == 1
    assert time.monotonic() - started < 1.0


def test_a_context_that_fails_changes_nothing(
    collector: LocalCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def get_remaining_time_in_millis(self) -> int:
            raise OSError("gone")

    from kibitz import _guard

    monkeypatch.setattr(_guard, "_is_strict", False)

    @kibitz.handler
    def answer(event: object, context: object) -> int:
        return 1

    assert answer({}, Broken()) == 1


async def test_a_closed_or_cancelled_call_ends_as_it_would_without_us(
    collector: LocalCollector,
) -> None:
    @kibitz.handler
    async def wait(event: object) -> None:
        await asyncio.sleep(60)

    closed = wait({})
    closed.send(None)  # type: ignore[attr-defined]  # a coroutine that waits
    closed.close()
    task = asyncio.create_task(wait({}))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_before_init_the_function_just_runs() -> None:
    @kibitz.handler
    def answer(event: object) -> int:
        return 1

    assert answer({}) == 1


def test_on_lambda_records_wait_in_the_temporary_folder() -> None:
    base = _directory.base_directory(
        None, {"AWS_LAMBDA_FUNCTION_NAME": "fn", "HOME": "/root", "XDG_STATE_HOME": "/var/state"}
    )
    import tempfile

    assert base.is_relative_to(tempfile.gettempdir())


def test_it_goes_on_functions_only() -> None:
    with pytest.raises(kibitz.ConfigError, match="function"):
        kibitz.handler(5)  # type: ignore[call-overload]
