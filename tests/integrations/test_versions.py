"""The oldest supported version of each client, installed apart and called against the wire."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.wire.server import WireServer

ROOT = Path(__file__).parents[2]
HI = "[{'role': 'user', 'content': 'hi'}]"
BEFORE = """
import asyncio, json, sys
from kibitz import _guard, _runtime
from kibitz.config import load
spans = []
put = lambda kind, payload: spans.append(json.loads(payload)["spans"][0]) if kind == 1 else None
_guard.set_strict(True)
_runtime.install(_runtime.Runtime(load({}, service="old"), put))
URL = sys.argv[1]
"""
AFTER = """
def plain(span):
    values = {item["key"]: next(iter(item["value"].values())) for item in span["attributes"]}
    return {"name": span["name"], "output": json.loads(values["gen_ai.output.messages"])[0],
            "tokens": int(values["gen_ai.usage.input_tokens"])}
print(json.dumps([plain(span) for span in spans]))
"""
OPENAI = f"""
import openai
from kibitz_integrations.openai import instrument
instrument()
HI = {HI}
client = openai.OpenAI(api_key="k", base_url=URL + "/v1", max_retries=0)
chat = client.chat.completions
chat.create(model="hello", messages=HI)
assert len(list(chat.create(model="hello", messages=HI, stream=True))) == 5
chat.with_raw_response.create(model="hello", messages=HI).parse()
with chat.with_streaming_response.create(model="hello", messages=HI) as raw:
    raw.parse()
client.beta.chat.completions.parse(model="hello", messages=HI)
with client.beta.chat.completions.stream(model="hello", messages=HI) as stream:
    stream.until_done()
async def main():
    async with openai.AsyncOpenAI(api_key="k", base_url=URL + "/v1", max_retries=0) as client:
        await client.chat.completions.create(model="hello", messages=HI)
        create = client.chat.completions.create
        async for _ in await create(model="hello", messages=HI, stream=True):
            pass
        async with client.beta.chat.completions.stream(model="hello", messages=HI) as stream:
            await stream.until_done()
asyncio.run(main())
"""
ANTHROPIC = f"""
import anthropic
from kibitz_integrations.anthropic import instrument
instrument()
CALL = dict(model="hello", max_tokens=9, messages={HI})
client = anthropic.Anthropic(api_key="k", base_url=URL, max_retries=0)
client.messages.create(**CALL)
list(client.messages.create(**CALL, stream=True))
client.messages.with_raw_response.create(**CALL).parse()
with client.messages.stream(**CALL) as stream:
    assert "".join(stream.text_stream) == "Hello, world"
with client.messages.stream(**CALL) as stream:
    stream.get_final_message()
client.beta.messages.create(**CALL)
async def main():
    async with anthropic.AsyncAnthropic(api_key="k", base_url=URL, max_retries=0) as client:
        await client.messages.create(**CALL)
        async with client.messages.stream(**CALL) as stream:
            await stream.get_final_message()
asyncio.run(main())
"""
CASES = {
    # httpx 0.28 took away an argument these still give.
    "openai": (["openai==1.40.0", "httpx<0.28"], OPENAI, 9, 20),
    "anthropic": (["anthropic==0.40.0"], ANTHROPIC, 8, 100),
}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(CASES))
def test_oldest_supported_client_gives_the_same_spans(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    requirements, script, calls, tokens = CASES[name]
    server: WireServer = request.getfixturevalue(f"{name}_server")
    spans = _run(tmp_path, requirements, BEFORE + script + AFTER, server.url)
    text = [{"type": "text", "content": "Hello, world"}]
    said = {"role": "assistant", "parts": text, "finish_reason": "stop"}
    assert spans == [{"name": "chat hello", "output": said, "tokens": tokens}] * calls


def _run(folder: Path, requirements: list[str], script: str, url: str) -> Any:
    """Run a script in a fresh environment with the SDK from this source tree."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    ours = ["orjson", "wrapt", "opentelemetry-api", "pydantic-core"]
    install = [python, "-m", "pip", "install", "-q", "--no-input", *requirements, *ours]
    subprocess.run(install, check=True, capture_output=True, timeout=240)
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "integrations")])
    ran = subprocess.run(
        [python, "-W", "ignore", "-c", script, url],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    print(ran.stderr, file=sys.stderr)
    return json.loads(ran.stdout)
