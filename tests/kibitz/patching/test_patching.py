"""What `kibitz.patching` promises to integrations, on a small library made here."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import types
from collections.abc import AsyncIterator, Generator, Iterator
from importlib import metadata
from typing import Any

import pytest

from kibitz import _guard
from kibitz.errors import IntegrationError
from kibitz.patching import (
    Attributes,
    Endpoint,
    Library,
    field,
    given,
    is_patched,
    patch,
    unpatch,
    view,
)
from kibitz.testing import Spans, capture

PYTEST = Library("pytest", oldest="1", below="1000")


class Client:
    """A provider's client, as odd as they come."""

    def call(self, model: str, **more: Any) -> dict[str, str]:
        if model == "broken":
            raise OSError("no network")
        return {"said": model}

    def looks_sync(self, model: str) -> Any:
        async def later() -> dict[str, str]:
            return {"said": model}

        return later()

    def job(self, model: str) -> Any:
        return Job(model)

    def stream(self, model: str) -> Iterator[str]:
        yield from model

    async def astream(self, model: str) -> AsyncIterator[str]:
        async def letters() -> AsyncIterator[str]:
            for letter in model:
                yield letter

        return letters()

    def framework(self, model: str) -> dict[str, str]:
        return self.call(model)


class Job:
    """Awaitable, and more than that."""

    def __init__(self, model: str) -> None:
        self.model = model

    def status(self) -> str:
        return "running"

    def __await__(self) -> Generator[None, None, dict[str, str]]:
        return {"said": self.model}
        yield


class Letters:
    def __init__(self) -> None:
        self.kept: list[str] = []

    def add(self, chunk: str) -> None:
        self.kept.append(chunk)

    def attributes(self) -> Attributes:
        said = "".join(self.kept)
        reason = "stop" if said.endswith(".") else None
        message = {"role": "assistant", "parts": [said], "finish_reason": reason}
        return {
            "gen_ai.output.messages": [message],
            "gen_ai.response.finish_reasons": [reason] if reason else [],
        }


def read_request(kwargs: dict[str, Any]) -> Attributes:
    return {"gen_ai.request.model": kwargs.get("model")}


def read_response(reply: Any) -> Attributes:
    return {"gen_ai.response.id": reply["said"]}


def endpoint(method: str, **more: Any) -> Endpoint:
    return Endpoint(
        f"tests_patched_library:Client.{method}",
        "chat",
        read_request,
        read_response,
        Letters,
        **more,
    )


METHODS = ("call", "looks_sync", "job", "stream", "astream", "framework")
ALL = [endpoint(method) for method in METHODS]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    module = types.ModuleType("tests_patched_library")
    copied = type("Client", (), {name: vars(Client)[name] for name in METHODS})
    module.Client = copied  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tests_patched_library", module)
    yield copied()
    unpatch(ALL)


@pytest.fixture
def spans() -> Iterator[Spans]:
    _guard.set_strict(True)
    with capture() as recorded:
        yield recorded
    _guard.set_strict(False)


def attribute(spans: Spans, name: str) -> Any:
    """The attribute of the only span."""
    (span,) = spans.as_dicts()
    return span["attributes"].get(name)


def test_call_is_recorded(client: Any, spans: Spans) -> None:
    patch(PYTEST, ALL)
    assert client.call(model="m") == {"said": "m"}
    assert spans.as_dicts()[0]["name"] == "chat m"
    assert attribute(spans, "gen_ai.response.id") == "m"


async def test_result_is_asked_whether_it_is_awaitable(client: Any, spans: Spans) -> None:
    patch(PYTEST, ALL)
    waiting = client.looks_sync(model="m")
    assert len(spans) == 0
    assert await waiting == {"said": "m"}
    assert attribute(spans, "gen_ai.response.id") == "m"


async def test_awaitable_keeps_its_other_methods(client: Any, spans: Spans) -> None:
    patch(PYTEST, ALL)
    job = client.job(model="m")
    assert isinstance(job, Job)
    assert job.status() == "running"
    assert await job == {"said": "m"}
    assert attribute(spans, "gen_ai.response.id") == "m"


@pytest.mark.parametrize(("letters", "reasons"), [("ab.", ["stop"]), ("ab", None)])
def test_generator_is_a_stream(
    client: Any, spans: Spans, letters: str, reasons: list[str] | None
) -> None:
    patch(PYTEST, ALL)
    assert "".join(client.stream(model=letters)) == letters
    assert letters in attribute(spans, "gen_ai.output.messages")
    assert attribute(spans, "gen_ai.response.finish_reasons") == reasons


async def test_async_generator_is_a_stream(client: Any, spans: Spans) -> None:
    patch(PYTEST, ALL)
    stream = await client.astream(model="ab.")
    assert [letter async for letter in stream] == ["a", "b", "."]
    assert len(spans) == 1


def test_stream_ends_its_span_once_whatever_follows(client: Any, spans: Spans) -> None:
    patch(PYTEST, ALL)
    stream = client.stream(model="abc")
    next(stream)
    stream.close()
    stream.close()
    assert list(stream) == []
    del stream
    gc.collect()
    assert attribute(spans, "gen_ai.response.finish_reasons") == ["abandoned"]


def test_stream_that_is_never_read_is_abandoned(client: Any, spans: Spans) -> None:
    patch(PYTEST, ALL)
    client.stream(model="abc")
    gc.collect()
    assert len(spans) == 1


def test_error_of_the_host_passes_with_its_traceback(client: Any, spans: Spans) -> None:
    patch(PYTEST, ALL)
    with pytest.raises(OSError, match="no network") as caught:
        client.call(model="broken")
    assert caught.value.__context__ is None
    assert caught.traceback[-1].name == "call"
    assert attribute(spans, "error.type") == "OSError"


def test_inner_call_of_the_same_operation_is_not_recorded_twice(client: Any, spans: Spans) -> None:
    patch(PYTEST, ALL)
    client.framework(model="m")
    client.call(model="m")
    assert len(spans) == 2


async def test_task_started_inside_a_call_is_recorded_after_the_call(
    client: Any, spans: Spans
) -> None:
    started: list[asyncio.Task[None]] = []
    is_over = asyncio.Event()

    async def later() -> None:
        await is_over.wait()
        client.call(model="late")

    def start(reply: Any) -> Attributes:
        return {}

    class Starting:
        def call(self, model: str) -> str:
            started.append(asyncio.create_task(later()))
            return model

    module = sys.modules["tests_patched_library"]
    module.Starting = Starting  # type: ignore[attr-defined]
    starting = Endpoint("tests_patched_library:Starting.call", "chat", read_request, start)
    patch(PYTEST, [*ALL, starting])
    Starting().call(model="early")
    is_over.set()
    await started[0]
    unpatch([starting])
    assert [span["name"] for span in spans.as_dicts()] == ["chat early", "chat late"]


@pytest.mark.parametrize("part", ["read_request", "read_response", "read_client", "extend"])
def test_error_of_a_reader_never_reaches_the_host(client: Any, spans: Spans, part: str) -> None:
    def broken(_: Any) -> Any:
        raise ZeroDivisionError

    _guard.set_strict(False)
    more: dict[str, Any] = {part: broken}
    known = {"read_request": read_request, "read_response": read_response, **more}
    target = "tests_patched_library:Client.call"
    patch(PYTEST, [Endpoint(target, "chat", stream=Letters, **known)])
    assert client.call(model="m") == {"said": "m"}


def test_error_of_a_fold_never_reaches_the_host(
    client: Any, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    _guard.set_strict(False)
    monkeypatch.setattr(Letters, "add", broken)
    monkeypatch.setattr(Letters, "attributes", broken)
    patch(PYTEST, ALL)
    assert "".join(client.stream(model="abc")) == "abc"
    assert len(spans) == 1


def test_patch_laid_over_ours_survives_undoing_and_ours_falls_silent(
    client: Any, spans: Spans
) -> None:
    patch(PYTEST, ALL)
    ours = type(client).call

    def theirs(self: Any, **kwargs: Any) -> Any:
        return ours(self, **kwargs)

    type(client).call = theirs
    unpatch(ALL)
    assert type(client).call is theirs
    assert client.call(model="m") == {"said": "m"}
    assert len(spans) == 0
    assert not any(is_patched(each) for each in ALL)


def test_missing_method_is_skipped_and_a_library_without_any_is_an_error(client: Any) -> None:
    patch(PYTEST, [endpoint("gone"), endpoint("call")])
    assert not is_patched(endpoint("gone"))
    with pytest.raises(IntegrationError, match="none of the methods"):
        patch(
            PYTEST, [endpoint("gone"), Endpoint("no.such:X.y", "chat", read_request, read_response)]
        )


def test_library_that_is_not_installed_says_what_to_run() -> None:
    with pytest.raises(IntegrationError, match=r"pip install 'no-such-library>=1\.2'"):
        patch(Library("no-such-library", oldest="1.2", below="2"), ALL)


def test_version_outside_the_range_warns_once_and_is_not_patched(
    client: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "3.0.0rc1")
    library = Library("tests-warned-once", oldest="1.40", below="3")
    with caplog.at_level(logging.WARNING, "kibitz"):
        patch(library, ALL)
        patch(library, ALL)
    assert [record.getMessage() for record in caplog.records] == [
        "tests-warned-once 3.0.0rc1 is not recorded: kibitz knows the versions >=1.40,<3"
    ]
    assert not any(is_patched(each) for each in ALL)


def test_version_numbers_are_compared_as_numbers(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "1.100.0")
    patch(Library("x", oldest="1.40", below="1.101"), ALL)
    assert is_patched(ALL[0])


def test_given_drops_what_says_nothing_and_keeps_zero() -> None:
    class NotGiven:
        pass

    told = given({"a": None, "b": NotGiven(), "c": 0, "d": False, "extra_body": {"e": 1}})
    assert told == {"c": 0, "d": False, "e": 1}


def test_view_reads_json_like_an_object() -> None:
    reply = view({"choices": [{"message": {"content": "hi"}}]})
    assert reply.choices[0].message.content == "hi"
    assert reply.usage is None
    assert field(reply, "usage") is None
