"""The demo's story: an app in production, a bad prompt ships, quality drops, somebody is told."""

import secrets
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from kibitz_collector.demo.checks import CHECKS, Evidence
from kibitz_collector.demo.model_server import ModelServer
from kibitz_collector.demo.process import Model, run_app, start_collector
from kibitz_collector.demo.webhook_receiver import WebhookReceiver
from kibitz_collector.errors import SetupError

GOOD_ROUNDS, BAD_ROUNDS = 2, 3
RULE = {
    "name": "Answers stopped being polite",
    "metric": 'pass_rate(judgment "support/is_polite") where file:"support/answer" over 1h',
    "comparison": "<",
    "threshold": 0.7,
    "min_sample": 5,
}
_FIRING_TIMEOUT_S = 30.0
_JUDGED_TIMEOUT_S = 20.0
_PACE_S = 3.0


@dataclass(frozen=True, slots=True)
class Options:
    """How to tell the story."""

    port: int
    database_url: str | None  # None: a temporary file
    base_url: str | None  # a real OpenAI-compatible server instead of the stand-in
    api_key: str | None
    model: str
    is_once: bool
    flags: list[str] = field(default_factory=list)  # further flags of `kibitz serve`


def tell(options: Options, say: Callable[[str], None]) -> int:
    """Run the whole story; returns 0 when everything it promises was seen, else 1.

    Raises: SetupError: a part could not be started.
    """
    secret = "whsec_" + b64encode(secrets.token_bytes(24)).decode()
    with ExitStack() as stack:
        database_url = options.database_url
        if database_url is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kibitz-demo-"))
            database_url = f"sqlite:///{Path(folder) / 'demo.db'}"
        receiver = stack.enter_context(WebhookReceiver(secret))
        model = _model(options, stack)
        collector = start_collector(database_url, options.port, options.flags)
        stack.callback(collector.stop)
        client = stack.enter_context(httpx.Client(base_url=collector.url, timeout=30))
        say(f"Collector   {collector.url}   (database {database_url})")
        say(f"Model       {model.name} at {model.base_url or 'api.openai.com'}")

        _set_up_alert(client, receiver.url, secret)
        say("Alert rule  pass rate of support/is_polite under 70 % -> webhook")
        good = run_app(collector.url, model, "friendly", GOOD_ROUNDS, with_trouble=True)
        say(
            f"Friendly    {good['sent']} records sent, {good['failed']} questions failed on purpose"
        )
        _wait(lambda: _judged(client) >= GOOD_ROUNDS * 6, _JUDGED_TIMEOUT_S)
        bad = run_app(collector.url, model, "curt", BAD_ROUNDS)
        say(f"Curt        a new prompt version shipped; {bad['sent']} records sent")
        receiver.arrived.wait(_FIRING_TIMEOUT_S if options.is_once else _FIRING_TIMEOUT_S * 2)
        if receiver.received:
            say(f"Webhook     {receiver.received[0].body.get('type')}, signature verified")

        evidence = Evidence(client, good, bad, receiver.received)
        failed = 0
        for check in CHECKS:
            problem = check(evidence)
            failed += problem is not None
            name = (check.__doc__ or check.__name__).strip().rstrip(".")
            say(f"  ok    {name}" if problem is None else f"  MISS  {name}: {problem}")
        _say_links(client, collector.url, say)
        if not options.is_once:
            _keep_going(collector.url, model, say)
        return 1 if failed else 0


def _model(options: Options, stack: ExitStack) -> Model:
    if options.base_url or options.api_key:
        return Model(options.model, options.base_url, options.api_key or "none")
    return Model(options.model, stack.enter_context(ModelServer()).base_url, "stand-in")


def _set_up_alert(client: httpx.Client, url: str, secret: str) -> None:
    channel = {"name": "demo webhook", "kind": "webhook", "config": {"url": url, "secret": secret}}
    made = _post(client, "/api/channels", channel)
    _post(client, "/api/alert-rules", RULE | {"channels": [made["id"]]})


def _post(client: httpx.Client, path: str, body: Mapping[str, object]) -> dict[str, str]:
    response = client.post(path, json=body)
    if response.is_error:
        raise SetupError(f"POST {path} answered {response.status_code}: {response.text[:500]}")
    answer: dict[str, str] = response.json()
    return answer


def _judged(client: httpx.Client) -> int:
    found = client.get("/api/logs", params={"q": "kind:flow has:judgment", "limit": 500})
    return len(found.json()["items"])


def _wait(is_done: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_done() and time.monotonic() < deadline:
        time.sleep(0.1)


def _say_links(client: httpx.Client, url: str, say: Callable[[str], None]) -> None:
    say("")
    say(f"Logs        {url}/logs")
    worst = client.get("/api/logs", params={"q": "judgment.support/is_polite:false", "limit": 1})
    for log in worst.json()["items"]:
        say(f"A bad one   {url}/logs/{log['id']}")
    say(f"Sessions    {url}/sessions")
    say(f"Monitors    {url}/monitors")
    say(f"Alerts      {url}/alerts")


def _keep_going(url: str, model: Model, say: Callable[[str], None]) -> None:
    say("")
    say("The app goes on in its friendly version; the alert will resolve. Ctrl-C ends the demo.")
    try:
        while True:
            run_app(url, model, "friendly", 1)
            time.sleep(_PACE_S)
    except KeyboardInterrupt:
        say("Ending.")
