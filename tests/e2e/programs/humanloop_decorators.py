"""An app with Humanloop's decorators, unmodified: runs in a virtual environment of its own.

Arguments: base URL of the collector's /v5, base URL of the model server. Prints what the flow
returned; after a line on its input, whether the exporter's threads are alive.
"""

import json
import sys
import threading
from contextlib import suppress

import openai
from humanloop import Humanloop


def main(collector: str, base_url: str) -> None:
    known = set(threading.enumerate())
    humanloop = Humanloop(api_key="hl_sk_test", base_url=collector)
    exporters = set(threading.enumerate()) - known
    assert exporters
    client = openai.OpenAI(api_key="test", base_url=base_url, max_retries=0)

    @humanloop.tool(path="support/lookup_order", attributes={"team": "x"})
    def lookup_order(order_id: str, attempts: int = 1) -> str:
        """Find an order."""
        return f"{order_id} was shipped"

    @humanloop.prompt(path="support/reply")
    def reply(question: str, fact: str) -> str:
        answer = client.chat.completions.create(
            model="gpt-4o-mini",
            temperature=0.2,
            messages=[
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": f"{question} ({fact})"},
            ],
        )
        return answer.choices[0].message.content or ""

    @humanloop.flow(path="support/inner", attributes={"version": "v1"})
    def inner(question: str) -> str:
        return reply(question, lookup_order("A123"))

    @humanloop.flow(path="support/answer", attributes={"version": "v1"})
    def answer(question: str) -> str:
        return inner(question)

    @humanloop.flow(path="support/broken", attributes={})
    def broken(question: str) -> str:
        raise ValueError("kaput")

    said = answer("Where is my order?")
    with suppress(Exception):
        broken("Why?")
    print(json.dumps({"said": said}), flush=True)
    sys.stdin.readline()  # until whoever started us has seen the Logs arrive
    print(json.dumps({"alive": all(thread.is_alive() for thread in exporters)}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
