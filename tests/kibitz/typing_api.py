"""Usage as in the README, checked by mypy: what the decorators do to types."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

import kibitz


@kibitz.flow
def bare(question: str, k: int = 1) -> str:
    return question * k


@kibitz.flow(path="support/answer")
async def coroutine(question: str) -> str:
    return question


@kibitz.flow
def generator(n: int) -> Iterator[int]:
    yield n


@kibitz.flow(path="g")
async def agenerator(n: int) -> AsyncIterator[int]:
    yield n


@kibitz.tool(path="support/lookup_order")
def lookup_order(order_id: str) -> dict[str, str]:
    return {"id": order_id}


@kibitz.prompt(path="support/reply", template=[], model="gpt", temperature=0.2)
def reply(question: str) -> str:
    return question


@kibitz.evaluator(path="support/is_polite", return_type="boolean")
def is_polite(log: dict[str, Any]) -> bool:
    return True


class Agent:
    @kibitz.flow
    def run(self, x: int) -> int:
        return x

    @kibitz.tool
    def look(self, x: int) -> str:
        return str(x)

    @staticmethod
    @kibitz.tool
    def fixed(x: int) -> str:
        return str(x)


async def use() -> None:
    assert_type(bare("a", k=2), str)
    assert_type(await coroutine("a"), str)
    assert_type(next(generator(1)), int)
    async for each in agenerator(1):
        assert_type(each, int)
    assert_type(lookup_order("A1"), dict[str, str])
    assert_type(lookup_order.json_schema, dict[str, Any])
    assert_type(reply("a"), str)
    assert_type(is_polite({}), bool)
    assert_type(Agent().run(1), int)
    assert_type(Agent().look(1), str)
    assert_type(Agent.fixed(1), str)
    assert_type(Agent.look.json_schema, dict[str, Any])
    bare(1)  # type: ignore[arg-type]
    lookup_order(order=1)  # type: ignore[call-arg]
    Agent().look("x")  # type: ignore[arg-type]
    with kibitz.session("chat-42", user="u1", metadata={"plan": "pro"}) as session:
        assert_type(session, kibitz.session)
    log = kibitz.current()
    log.set_output("x")
    assert_type(log.id, str)
    kibitz.judge(log.id, "rating", "good", user="u1")
    headers: dict[str, str] = {}
    kibitz.inject(headers)
    with kibitz.extract(headers):
        pass
    assert_type(kibitz.propagate(bare)("a"), str)
    assert_type(kibitz.flush(timeout_s=5.0), kibitz.FlushResult)


def ask_the_collector() -> None:
    prompt = kibitz.get_prompt("support/reply", default={"model": "gpt"})
    assert_type(prompt, kibitz.Prompt)
    assert_type(prompt.parameters, dict[str, Any])
    assert_type(kibitz.call("support/reply", inputs={"a": 1}), kibitz.CallResult)
    with kibitz.call("support/reply", stream=True) as stream:
        assert_type(list(stream), list[str])
    result = kibitz.evaluate(bare, dataset=[{"question": "a"}], evaluators=[is_polite, "b"])
    assert_type(result.score("b"), float | None)
