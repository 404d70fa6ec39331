"""get_prompt: the collector there, away, slow, gone and back; the disk whole and broken."""

import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import kibitz
from kibitz import ApiError, KibitzError
from tests.e2e.conftest import Served, clean_environment
from tests.kibitz.client.conftest import CHAT, said, upsert

DEFAULT = {"model": "small", "template": [{"role": "user", "content": "{{question}}"}]}

ANOTHER_PROCESS = """
import sys, time, kibitz
kibitz.init(sys.argv[1], spool_dir=sys.argv[2])
started = time.monotonic()
prompt = kibitz.get_prompt("support/reply")
print(prompt.version_id, prompt.origin, prompt.render(tone="kind", question="why?")[1]["content"])
assert time.monotonic() - started < 8
"""


def in_another_process(url: str, spool: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", ANOTHER_PROCESS, url, spool],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=clean_environment(),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill(served: Served) -> None:
    served.process.send_signal(signal.SIGKILL)
    served.process.wait()


def restart(serve: Callable[..., Served], killed: Served) -> Served:
    port = killed.url.rpartition(":")[2]
    return serve("--port", port, database=killed.database)


def cached(spool: Path) -> list[Path]:
    return sorted(spool.glob("*/prompts/*.json"))


def test_the_default_version_comes_with_all_a_provider_needs(app: Served) -> None:
    tool = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}
    made = upsert(app, "prompts", path="support/reply", **CHAT, tools=[tool], other={"top_k": 3})
    prompt = kibitz.get_prompt("support/reply")
    assert prompt.version_id == made["version_id"]
    assert (prompt.path, prompt.id, prompt.origin) == ("support/reply", made["id"], "collector")
    assert (prompt.model, prompt.provider) == ("gpt-4o", "openai")
    assert prompt.parameters == {"temperature": 0.2, "top_k": 3}
    assert prompt.template == CHAT["template"]
    assert prompt.inputs == ["tone", "question"]
    assert prompt.tools == [{"type": "function", "function": {**tool, "strict": False}}]
    assert prompt.render(tone="kind", question="why?") == [
        {"role": "system", "content": "You are kind."},
        {"role": "user", "content": "why?"},
    ]


def test_environment_and_version_choose(app: Served) -> None:
    first = upsert(app, "prompts", path="p", **CHAT)
    second = upsert(app, "prompts", path="p", **{**CHAT, "temperature": 0.9})
    with app.client() as client:
        staging = said(client.post("/api/environments", json={"name": "staging"}))["id"]
        deployed = f"/v5/prompts/{first['id']}/environments/{staging}"
        said(client.post(deployed, params={"version_id": second["version_id"]}))
    assert kibitz.get_prompt("p").version_id == first["version_id"]
    assert kibitz.get_prompt("p", environment="staging").version_id == second["version_id"]
    for made in (first, second):
        found = kibitz.get_prompt("p", version_id=made["version_id"])
        assert found.version_id == made["version_id"]
    with pytest.raises(KibitzError, match="not both"):
        kibitz.get_prompt("p", environment="staging", version_id=first["version_id"])


def test_nobody_can_change_a_prompt_that_others_use(app: Served) -> None:
    upsert(app, "prompts", path="p", **CHAT)
    prompt = kibitz.get_prompt("p")
    template = prompt.template
    assert isinstance(template, list)
    template.clear()
    prompt.parameters["temperature"] = 7
    assert kibitz.get_prompt("p").template == CHAT["template"]
    assert prompt.parameters == {"temperature": 0.2}
    with pytest.raises(AttributeError):
        prompt.path = "q"  # type: ignore[misc]


def test_missing_inputs_are_all_named(app: Served) -> None:
    upsert(app, "prompts", path="p", **CHAT)
    with pytest.raises(KibitzError, match="not given: question, tone"):
        kibitz.get_prompt("p").render()


def test_the_collector_fills_what_only_it_can(app: Served) -> None:
    jinja = [{"role": "user", "content": "{% for x in xs %}{{ x }}!{% endfor %}"}]
    upsert(app, "prompts", path="j", model="m", template=jinja, template_language="jinja")
    filled = kibitz.get_prompt("j").render(xs=["a", "b"])
    assert [message["content"] for message in filled] == ["a!b!"]
    calling = [{"role": "user", "content": '{{ look("x") }}'}]
    upsert(app, "prompts", path="t", model="m", template=calling)
    with pytest.raises(KibitzError, match=r"calls the tool 'look'.*kibitz\.call\('t'"):
        kibitz.get_prompt("t").render()


def test_completion_templates_are_texts_and_chat_texts_are_messages(app: Served) -> None:
    upsert(app, "prompts", path="c", model="m", endpoint="complete", template="Say {{x}}")
    upsert(app, "prompts", path="t", model="m", template="Say {{x}}")
    assert kibitz.get_prompt("c").render(x=1) == "Say 1"
    assert kibitz.get_prompt("t").render({"x": "a"}) == [{"role": "user", "content": "Say a"}]


def test_a_newly_deployed_version_arrives_in_the_background(app: Served) -> None:
    first = upsert(app, "prompts", path="p", **CHAT)
    assert kibitz.get_prompt("p").version_id == first["version_id"]
    second = upsert(app, "prompts", path="p", **{**CHAT, "temperature": 0.9})
    with app.client() as client:
        environments = client.get(f"/v5/prompts/{first['id']}/environments").json()
        deployed = f"/v5/prompts/{first['id']}/environments/{environments[0]['id']}"
        said(client.post(deployed, params={"version_id": second["version_id"]}))
    assert kibitz.get_prompt("p").version_id == first["version_id"]  # young enough
    wait_until(lambda: kibitz.get_prompt("p", max_age_s=0).version_id == second["version_id"])


def test_a_killed_collector_is_not_missed_by_this_process_nor_by_the_next(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    served = serve()
    spool = tmp_path / "spool"
    made = upsert(served, "prompts", path="support/reply", **CHAT)
    kibitz.init(served.url, spool_dir=spool)
    try:
        assert kibitz.get_prompt("support/reply").origin == "collector"
        kill(served)
        started = time.monotonic()
        for _ in range(200):
            kept = kibitz.get_prompt("support/reply", max_age_s=0)
            assert kept.version_id == made["version_id"]
        assert time.monotonic() - started < 2
        assert in_another_process(served.url, spool) == [made["version_id"], "disk", "why?"]
        back = restart(serve, served)
        assert back.url == served.url
        newer = upsert(back, "prompts", path="new", **CHAT)
        assert kibitz.get_prompt("new").version_id == newer["version_id"]
        assert in_another_process(back.url, spool) == [made["version_id"], "collector", "why?"]
    finally:
        kibitz.shutdown(0)


def test_a_damaged_cache_is_as_good_as_none_and_is_made_anew(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    served = serve()
    spool = tmp_path / "spool"
    made = upsert(served, "prompts", path="support/reply", **CHAT)
    in_another_process(served.url, spool)
    (path,) = cached(spool)
    path.write_bytes(path.read_bytes()[:-20])
    kill(served)
    kibitz.init(served.url, spool_dir=spool)
    try:
        assert kibitz.get_prompt("support/reply", default=DEFAULT).origin == "default"
        with pytest.raises(KibitzError, match="none was kept from before"):
            kibitz.get_prompt("support/reply")
        back = restart(serve, served)
        assert kibitz.get_prompt("support/reply").origin == "collector"
        kill(back)
        assert in_another_process(back.url, spool) == [made["version_id"], "disk", "why?"]
    finally:
        kibitz.shutdown(0)


def test_without_collector_and_cache_one_error_says_what_to_do(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    kibitz.init(url, spool_dir=tmp_path)
    try:
        with pytest.raises(KibitzError) as caught:
            kibitz.get_prompt("support/reply")
    finally:
        kibitz.shutdown(0)
    text = str(caught.value)
    for part in ("'support/reply'", url, "`kibitz serve`", "`kibitz push`", "default="):
        assert part in text


def test_a_default_serves_until_there_is_something_better(app: Served) -> None:
    before = kibitz.get_prompt("p", default=DEFAULT)
    assert (before.version_id, before.origin, before.model) == (None, "default", "small")
    assert before.render(question="why?") == [{"role": "user", "content": "why?"}]
    upsert(app, "prompts", path="p", **CHAT)
    assert kibitz.get_prompt("p").origin == "collector"
    assert kibitz.get_prompt("p", default=DEFAULT).model == "gpt-4o"
    with pytest.raises(KibitzError, match="must be a Prompt or a mapping"):
        kibitz.get_prompt("q", default={"modle": "x"})


def test_what_the_collector_says_no_to_is_told(app: Served) -> None:
    with pytest.raises(KibitzError, match="says: there is no File at 'nowhere'"):
        kibitz.get_prompt("nowhere")
    upsert(app, "flows", path="a/flow", attributes={})
    with pytest.raises(KibitzError, match="is a File of type flow"):
        kibitz.get_prompt("a/flow")
    upsert(app, "prompts", path="p", **CHAT)
    with pytest.raises(KibitzError, match="Environment moon does not exist"):
        kibitz.get_prompt("p", environment="moon")


def test_a_deleted_prompt_stays_in_use(app: Served) -> None:
    made = upsert(app, "prompts", path="p", **CHAT)
    kibitz.get_prompt("p")
    with app.client() as client:
        assert client.delete(f"/v5/prompts/{made['id']}").status_code == 204
    for _ in range(5):
        assert kibitz.get_prompt("p", max_age_s=0).version_id == made["version_id"]


def test_a_silent_collector_holds_nobody_up(silent_url: str, tmp_path: Path) -> None:
    kibitz.init(silent_url, spool_dir=tmp_path)
    try:
        started = time.monotonic()
        assert kibitz.get_prompt("p", default=DEFAULT, timeout_s=0.2).origin == "default"
        with pytest.raises(KibitzError, match=r"did not answer within 0\.2 s"):
            kibitz.get_prompt("p", timeout_s=0.2)
        assert time.monotonic() - started < 3
    finally:
        kibitz.shutdown(0)


def test_many_threads_ask_once(app: Served) -> None:
    made = upsert(app, "prompts", path="p", **CHAT)
    start = threading.Barrier(32)

    def ask(_: int) -> str | None:
        start.wait(20)
        return kibitz.get_prompt("p").version_id

    with ThreadPoolExecutor(32) as pool:
        assert set(pool.map(ask, range(32))) == {made["version_id"]}


def _in_child(path: str, answers: "multiprocessing.Queue[tuple[str, str]]") -> None:
    known = kibitz.get_prompt(path, max_age_s=0)
    fresh = kibitz.get_prompt("only/in/child")
    answers.put((str(known.version_id), str(fresh.version_id)))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_children_have_what_the_parent_had_and_ask_for_more(app: Served) -> None:
    made = upsert(app, "prompts", path="p", **CHAT)
    child_s = upsert(app, "prompts", path="only/in/child", **CHAT)
    kibitz.get_prompt("p")
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[tuple[str, str]] = context.Queue()  # type: ignore[assignment]
    children = [context.Process(target=_in_child, args=("p", answers)) for _ in range(3)]
    for child in children:
        child.start()
    told = [answers.get(timeout=30) for _ in children]
    for child in children:
        child.join(30)
    assert told == [(made["version_id"], child_s["version_id"])] * 3
    assert kibitz.get_prompt("p", max_age_s=0).version_id == made["version_id"]


def test_a_key_that_may_only_send_is_told_so(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve()
    database = f"sqlite:///{served.database}"
    command = [sys.executable, "-m", "kibitz", "keys", "--database-url", database]
    made = subprocess.run(
        [*command, "create", "app", "--role", "ingest"],
        capture_output=True,
        text=True,
        check=True,
        env=clean_environment(),
    )
    kibitz.init(served.url, api_key=made.stdout.strip(), spool_dir=tmp_path)
    try:
        with pytest.raises(KibitzError, match="a key of role full") as caught:
            kibitz.get_prompt("p")
    finally:
        kibitz.shutdown(0)
    assert not isinstance(caught.value, ApiError)


def test_settings_count_also_of_an_init_that_records_nothing(
    collector: Served, tmp_path: Path
) -> None:
    made = upsert(collector, "prompts", path="p", **CHAT)
    kibitz.init(collector.url, enabled=False, spool_dir=tmp_path)
    assert kibitz.get_prompt("p").version_id == made["version_id"]


def test_a_sidecar_is_asked_too_without_init(tmp_path: Path) -> None:
    program = """
import sys, kibitz, httpx
from kibitz.client.connection import connection
url = connection().collector
body = {"path": "p", "model": "m", "template": "Say {{x}}"}
for _ in range(100):
    try:
        httpx.post(f"{url}/v5/prompts", json=body, trust_env=False).raise_for_status()
        break
    except httpx.TransportError:
        import time; time.sleep(0.2)
print(kibitz.get_prompt("p", timeout_s=20).render(x=1), kibitz.get_prompt("p").origin)
from kibitz import _sidecar
for process in _sidecar._started:
    process.terminate()
    process.wait(30)
"""
    database = f"sqlite:///{tmp_path / 'app.db'}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env=clean_environment(KIBITZ_COLLECTOR=database, KIBITZ_SPOOL_DIR=str(tmp_path)),
    )
    assert done.stdout == "[{'role': 'user', 'content': 'Say 1'}] collector\n", done.stderr


def test_model_calls_inside_become_logs_of_the_version_that_was_rendered(app: Served) -> None:
    upsert(app, "prompts", path="p", **CHAT)
    newer = upsert(app, "prompts", path="p", **{**CHAT, "temperature": 0.9})
    prompt = kibitz.get_prompt("p", version_id=newer["version_id"])
    with prompt.calling(tone="kind", question="why?") as messages:
        assert messages[0] == {"role": "system", "content": "You are kind."}
        log_id = kibitz.current().id
    assert kibitz.flush(10).sent
    with app.client() as client:
        log = said(client.get(f"/v5/logs/{log_id}"))
    assert log["prompt"]["version_id"] == newer["version_id"]
    assert log["inputs"] == {"tone": "kind", "question": "why?"}
