"""The demo's sample app: a small support agent, as any user of the SDK would write it.

Run as a process of its own: `python -m kibitz_collector.demo.support_app --style friendly|curt`.
Needs `KIBITZ_COLLECTOR`, and `OPENAI_BASE_URL` / `OPENAI_API_KEY` as the openai package takes them.
"""

import argparse
import json
import sys
from typing import Any

import openai

import kibitz

ORDERS = {
    "A100": {"status": "shipped", "arrives": "Tuesday"},
    "B200": {"status": "being packed", "arrives": "Friday"},
    "C300": {"status": "delivered", "arrives": "yesterday"},
}
MANNERS = {
    "friendly": "You are a support agent. Be warm, say please and thank you.",
    "curt": "You are a support agent. Be curt.",
}
CONVERSATIONS = {
    "chat-ana": ("ana", ["Where is my order A100?", "How do refunds work?", "And order B200?"]),
    "chat-ben": ("ben", ["Is order C300 here yet?", "When are you open?", "Where is order Z999?"]),
}
TROUBLE = ("chat-ben", "ben", "Are you overloaded today?")
TOOLS: list[Any]


@kibitz.tool(path="support/lookup_order")
def lookup_order(order_id: str) -> dict[str, str]:
    """Look up an order by its number."""
    return ORDERS[order_id]


@kibitz.evaluator(path="support/is_polite", return_type="boolean", on="support/answer")
def is_polite(log: dict[str, str | None]) -> bool:
    """Tell whether the answer is polite."""
    words = (log["output"] or "").lower()
    return any(word in words for word in ("please", "thank", "glad", "happy to"))


@kibitz.evaluator(path="support/answer_words", return_type="number", on="support/reply")
def answer_words(log: dict[str, str | None]) -> int | None:
    """Count the words of an answer; a tool call has none to count."""
    text = log["output"]
    return len(text.split()) if text else None


def make_reply(client: openai.OpenAI, model: str, style: str) -> Any:
    """Build the prompt in one style: a new style is a new Version of the same File."""
    system = MANNERS[style]

    @kibitz.prompt(
        path="support/reply",
        template=[
            {"role": "system", "content": system},
            {"role": "user", "content": "{{question}}"},
        ],
        model=model,
        temperature=0.2,
    )
    def reply(question: str) -> str:
        messages: list[Any] = [
            {"role": "system", "content": system},
            {"role": "user", "content": question},
        ]
        first = client.chat.completions.create(
            model=model, temperature=0.2, messages=messages, tools=TOOLS
        )
        message = first.choices[0].message
        if not message.tool_calls:
            return message.content or ""
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            if call.type != "function":
                continue
            found = lookup_order(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(found)})
        words = client.chat.completions.create(
            model=model, temperature=0.2, messages=messages, stream=True
        )
        return "".join(chunk.choices[0].delta.content or "" for chunk in words if chunk.choices)

    return reply


def make_answer(reply: Any) -> Any:
    """Build the flow around a prompt."""

    @kibitz.flow(path="support/answer")
    def answer(question: str) -> str:
        return str(reply(question=question))

    return answer


TOOLS = [{"type": "function", "function": lookup_order.json_schema}]


def run(style: str, model: str, rounds: int, *, with_trouble: bool) -> int:
    """Hold every conversation `rounds` times; return how many questions failed."""
    client = openai.OpenAI(max_retries=0)
    answer = make_answer(make_reply(client, model, style))
    failed = 0
    for _ in range(rounds):
        for session, (user, questions) in CONVERSATIONS.items():
            with kibitz.session(session, user=user):
                for question in questions:
                    failed += _ask(answer, question)
    if with_trouble:
        session, user, question = TROUBLE
        with kibitz.session(session, user=user):
            failed += _ask(answer, question)
    return failed


def _ask(answer: Any, question: str) -> int:
    try:
        answer(question)
    except (KeyError, openai.APIStatusError):
        return 1  # an order that does not exist, a model that is away: kept as error Logs
    return 0


def main() -> int:
    """Run the app as a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--style", choices=sorted(MANNERS), default="friendly")
    parser.add_argument("--model", default="gpt-4o-mini")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--trouble", action="store_true", help="also ask what makes the model fail")
    arguments = parser.parse_args()
    kibitz.init(service="support-demo", environment="demo")
    kibitz.instrument("openai")
    failed = run(arguments.style, arguments.model, arguments.rounds, with_trouble=arguments.trouble)
    result = kibitz.flush(timeout_s=10)
    print(json.dumps({"failed": failed, "sent": result.sent, "dropped": result.dropped}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
