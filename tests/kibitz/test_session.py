import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import kibitz
from kibitz import semconv as sc
from kibitz.testing import Spans


@kibitz.tool
def work(n: int = 0) -> str:
    return kibitz.current().id


def carried(span: dict[str, object]) -> tuple[object, ...]:
    attributes: dict[str, object] = span["attributes"]  # type: ignore[assignment]
    names = (sc.SESSION_ID, sc.CONVERSATION_ID, sc.USER_ID, sc.METADATA)
    return tuple(attributes.get(name) for name in names)


def test_everything_inside_belongs_to_the_session(spans: Spans) -> None:
    @kibitz.flow
    def outer() -> None:
        work()

    with kibitz.session("chat-42", user="u1", metadata={"plan": "pro"}):
        outer()
    work()
    expected = ("chat-42", "chat-42", "u1", '{"plan":"pro"}')
    assert [carried(each) for each in spans.as_dicts()] == [expected, expected, (None,) * 4]


def test_inner_values_win_and_metadata_adds_up(spans: Spans) -> None:
    with (
        kibitz.session("a", user="u", metadata={"x": 1, "y": 1}),
        kibitz.session("b", metadata={"y": 2}),
    ):
        work()
    assert carried(spans.as_dicts()[0]) == ("b", "b", "u", '{"x":1,"y":2}')


def test_a_session_inside_a_flow_keeps_the_nesting(spans: Spans) -> None:
    @kibitz.flow
    def outer() -> None:
        with kibitz.session("s"):
            work()

    outer()
    assert spans.tree() == {"outer": {"work": {}}}
    assert carried(spans.named("outer"))[0] is None
    assert carried(spans.named("work"))[0] == "s"


def test_ids_that_are_no_text_are_written_as_text(spans: Spans) -> None:
    with kibitz.session(42, user=b"u"):  # type: ignore[arg-type]
        work()
    assert carried(spans.as_dicts()[0])[1:3] == ("42", "u")


async def test_it_decorates_any_function_and_serves_async_with(spans: Spans) -> None:
    decorate = kibitz.session("s")

    @decorate
    def plain() -> None:
        work()

    @decorate
    async def coroutine() -> None:
        await asyncio.sleep(0)
        work()

    @decorate
    def generator() -> Iterator[str]:
        yield work()

    @decorate
    async def agenerator() -> AsyncIterator[str]:
        yield work()

    plain()
    await asyncio.gather(coroutine(), coroutine())
    for _ in generator():
        work()  # outside: the session is not held across a yield
    async for _ in agenerator():
        pass
    async with kibitz.session("s"):
        work()
    found = [carried(each)[0] for each in spans.as_dicts()]
    assert found == ["s", "s", "s", "s", None, "s", "s"]


def test_a_trace_crosses_processes(spans: Spans) -> None:
    headers: dict[str, str] = {}

    @kibitz.flow
    def client() -> None:
        kibitz.inject(headers)

    with kibitz.session("chat 42", user="ü,1"):
        client()
    assert headers == {
        "traceparent": f"00-{1:032x}-{1:016x}-01",
        "tracestate": f"kibitz={1:016x}",
        "baggage": "kibitz.session=chat%2042,kibitz.user=%C3%BC%2C1",
    }
    with kibitz.extract({key.encode(): value.encode() for key, value in headers.items()}):
        work()
    client_span, server_span = spans.named("client"), spans.named("work")
    assert server_span["parent_id"] == client_span["span_id"]
    assert server_span["trace_id"] == client_span["trace_id"]
    assert carried(server_span)[:3] == ("chat 42", "chat 42", "ü,1")


def test_a_foreign_caller_gives_its_trace_id_only(spans: Spans) -> None:
    with kibitz.extract({"Traceparent": f"00-{'a' * 32}-{'b' * 16}-00", "tracestate": "x=1"}):
        work()
    (span,) = spans.as_dicts()
    assert (span["trace_id"], span["parent_id"]) == ("a" * 32, None)
    assert span["attributes"][sc.AMBIENT_PARENT] == "b" * 16


@pytest.mark.parametrize(
    "text", ["", "00", "00-xx-yy-01", "ff-" + "a" * 32 + "-" + "b" * 16 + "-01"]
)
def test_broken_headers_are_as_none(spans: Spans, text: str) -> None:
    with kibitz.extract({"traceparent": text, "tracestate": "kibitz=zz,,=", "baggage": "===,,"}):
        work()
    assert spans.as_dicts()[0]["parent_id"] is None


def test_other_members_of_headers_stay(spans: Spans) -> None:
    headers = {"tracestate": "a=1,kibitz=0,b=2", "baggage": "k=v"}
    with kibitz.session("s"):

        @kibitz.flow
        def client() -> None:
            kibitz.inject(headers)

        client()
    assert headers["tracestate"] == f"kibitz={1:016x},a=1,b=2"
    assert headers["baggage"] == "kibitz.session=s,k=v"


def test_the_host_s_own_traceparent_stays(spans: Spans) -> None:
    tracer = TracerProvider().get_tracer("host")
    with tracer.start_as_current_span("request") as host:
        own = trace.format_trace_id(host.get_span_context().trace_id)
        headers = {"traceparent": f"00-{own}-{'c' * 16}-01"}

        @kibitz.flow
        def client() -> None:
            kibitz.inject(headers)

        client()
    assert headers["traceparent"] == f"00-{own}-{'c' * 16}-01"
    (span,) = spans.as_dicts()
    assert span["trace_id"] == own
    assert span["parent_id"] is None
    assert span["attributes"][sc.AMBIENT_PARENT] == trace.format_span_id(
        host.get_span_context().span_id
    )
