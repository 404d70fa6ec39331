"""A model that judges, for tests: a local server on OpenAI's wire, told what to say."""

import json
import threading
from collections.abc import Callable
from typing import Any

from kibitz_collector.access.http import Context
from kibitz_collector.config import Settings
from kibitz_collector.normalize import Rates, UserPrices
from kibitz_collector.records import FileRegistration
from kibitz_collector.store import Store
from tests.collector.evaluate.samples import WORKSPACE
from tests.integrations.wire import openai as wire
from tests.integrations.wire.server import Reply, Request, WireServer

MODEL = "judge-1"
PRICES: UserPrices = {MODEL: Rates(input=1.0, output=2.0)}
COST_USD = (20 * 1.0 + 9 * 2.0) / 1e6  # of `wire.USAGE`
TEMPLATE = "Question: {{log.inputs.question}}\nAnswer: {{log.output}}\nIs it polite?"


def said(text: str | None, reason: str = "stop") -> Reply:
    """One answer of the model."""
    return Reply({**wire.chat(MODEL, {"content": text}, reason), "model": MODEL})


def last_message(request: Request) -> str:
    """Return what the model was asked."""
    content: str = request.body["messages"][-1]["content"]
    return content


def always(text: str) -> Callable[[Request], Reply]:
    return lambda _request: said(text)


def settings_for(server: WireServer, **more: Any) -> Settings:
    given: dict[str, Any] = {
        "openai_base_url": f"{server.url}/v1",
        "openai_api_key": "sk-judge",
        "judge_timeout_s": 10.0,
    }
    return Settings(**(given | more))


def caller_of(store: Store, settings: Settings) -> Context:
    return Context(settings, store, WORKSPACE, "full", None, PRICES)


def content(template: Any = TEMPLATE, **more: Any) -> dict[str, Any]:
    """What an evaluator of type llm is made of."""
    prompt = {"model": MODEL, "template": template, **more.pop("prompt", {})}
    return {"evaluator_type": "llm", "return_type": "boolean", "prompt": prompt, **more}


def register(store: Store, path: str = "judges/polite", **more: Any) -> tuple[str, str]:
    """Register a judge as the API does; returns (file id, version id)."""
    return store.register_file(
        WORKSPACE, FileRegistration(kind="evaluator", path=path, content=content(**more))
    )


class Gate:
    """Lets a server's answers wait; counts how many do, and the most at once."""

    def __init__(self, text: str = "true") -> None:
        self.is_open = threading.Event()
        self.most = 0
        self._now = 0
        self._condition = threading.Condition()
        self._text = text

    def __call__(self, request: Request) -> Reply:
        with self._condition:
            self._now += 1
            self.most = max(self.most, self._now)
            self._condition.notify_all()
        self.is_open.wait(30)
        with self._condition:
            self._now -= 1
        return said(self._text)

    def wait_for(self, count: int) -> None:
        """Return once so many wait."""
        with self._condition:
            assert self._condition.wait_for(lambda: self._now >= count, 20)


def error(status: int, message: str = "no") -> Reply:
    return Reply(json.loads(json.dumps({"error": {"message": message}})), status=status)
