"""Scenarios about calls, driven through the unmodified SDK in an environment of its own.

Arguments: scenario, base URL of /v5. Exits with an error when something is not as it should be.
The collector calls a model that answers `you said …`, and calls tools for `use add,ask_user`.
"""

import sys
from collections.abc import Callable
from typing import Any

from humanloop import Humanloop
from humanloop.core.api_error import ApiError
from humanloop.types import PromptResponse

TEMPLATE = [{"role": "system", "content": "You are {{person}}."}]
PROMPT: dict[str, Any] = {"model": "gpt-4o", "template": TEMPLATE, "temperature": 0.5}
PLAIN: dict[str, Any] = {"model": "gpt-4o"}
HI: list[Any] = [{"role": "user", "content": "hi"}]
ADD: dict[str, Any] = {
    "function": {
        "name": "add",
        "description": "Add.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
    "source_code": "import os\ndef add(a, b=0):\n    return os.environ.get('ANSWER') or a + b\n",
}
INLINE: dict[str, Any] = {
    "type": "inline",
    "json_schema": {"name": "ask_user", "description": "Ask.", "parameters": {"type": "object"}},
    "on_agent_call": "stop",
}


def refused(call: Callable[..., Any]) -> ApiError:
    """Return the API's error; some methods of the SDK wrap it."""
    try:
        call()
    except Exception as error:
        for one in (error, error.__cause__):
            if isinstance(one, ApiError):
                return one
        raise
    raise AssertionError("this was not refused")


def call_a_prompt(client: Humanloop) -> None:
    """Fills, asks, answers with all there is to say; two samples; no inputs when not wanted."""
    answer = client.prompts.call(path="p", prompt=PROMPT, messages=HI, inputs={"person": "Ada"})
    (log,) = answer.logs
    assert (log.index, log.output) == (0, "you said hi")
    assert log.output_message.content == "you said hi"
    assert (log.prompt_tokens, log.output_tokens, log.finish_reason) == (20, 9, "stop")
    assert log.prompt_cost > 0
    assert log.provider_latency > 0
    assert isinstance(answer.prompt, PromptResponse)
    assert answer.prompt.version_id.startswith("prv_")
    assert answer.id == answer.log_id
    assert answer.inputs == {"person": "Ada"}
    stored = client.logs.get(answer.id)
    assert stored["output"] == "you said hi", stored
    again = client.prompts.call(
        id=answer.prompt.id,
        messages=HI,
        inputs={"person": "Ada"},
        num_samples=2,
        return_inputs=False,
    )
    assert [one.index for one in again.logs] == [0, 1]
    assert again.prompt.version_id == answer.prompt.version_id
    assert not again.inputs
    missing = refused(lambda: client.prompts.call(path="p", messages=HI))
    assert missing.status_code == 422
    assert "person" in str(missing.body)


def stream_a_prompt(client: Humanloop) -> None:
    """The first piece is here while the model still speaks; the last event has all the rest."""
    chunks = []
    for chunk in client.prompts.call_stream(
        path="p", prompt=PROMPT | {"template": []}, messages=HI
    ):
        if not chunks:
            print("first", flush=True)
        chunks.append(chunk)
        for name in ("index", "id", "prompt_id", "version_id"):
            assert getattr(chunk, name) is not None, name
    assert "".join(chunk.output or "" for chunk in chunks) == "you said hi"
    assert (chunks[-1].finish_reason, chunks[-1].prompt_tokens) == ("stop", 20)
    listed = list(client.logs.list(file_id=chunks[0].prompt_id))
    assert [log.id for log in listed] == [chunks[0].id]
    (log,) = listed
    assert (log.output, log.finish_reason, log.output_tokens) == ("you said hi", "stop", 9)


def choose_a_version(client: Humanloop) -> None:
    """The query's environment picks the version; the body's is only stored."""
    first = client.prompts.upsert(path="p", model="gpt-4o")
    second = client.prompts.upsert(path="p", model="gpt-4o-mini")
    staging = next(e for e in client.prompts.list_environments(first.id) if e.name == "staging")
    client.prompts.set_deployment(first.id, staging.id, version_id=second.version_id)
    answer = client.prompts.call(
        path="p",
        messages=HI,
        environment="staging",
        prompts_call_request_environment="production",
    )
    assert answer.prompt.version_id == second.version_id
    assert answer.environment == "production"
    assert client.logs.get(answer.id)["environment"] == "production"
    assert client.prompts.call(path="p", messages=HI).prompt.version_id == first.version_id


def tell_failures(client: Humanloop) -> None:
    """What the provider says reaches the caller, and is a Log."""
    messages: list[Any] = [{"role": "user", "content": "fail 429"}]
    for call in (client.prompts.call, client.prompts.call_stream):
        error = refused(lambda call=call: list(call(path="p", prompt=PLAIN, messages=messages)))
        assert error.status_code == 429
        detail = error.body["detail"]
        assert (detail["type"], detail["code"]) == ("rate_limit_error", 429)
        assert (detail["message"], detail["origin"]) == ("the model is tired", "openai")
    file = client.files.retrieve_by_path(path="p")
    assert [log.error for log in client.logs.list(file_id=file.id)] == ["the model is tired"] * 2


def call_a_tool(client: Humanloop) -> None:
    """Runs the code, with its environment variables."""
    answer = client.tools.call(path="add", tool=ADD, inputs={"a": 1, "b": 2})
    assert (answer.output, answer.error) == ("3", None)
    assert client.logs.get(answer.id)["output"] == "3"
    tool_id = answer.tool.id
    made = client.tools.add_environment_variable(
        tool_id, request=[{"name": "ANSWER", "value": "forty-two"}]
    )
    assert [(one.name, one.value) for one in made] == [("ANSWER", "forty-two")]
    assert client.tools.call(id=tool_id, inputs={"a": 1}).output == "forty-two"
    assert len(client.tools.get_environment_variables(tool_id)) == 1
    assert client.tools.delete_environment_variable(tool_id, "ANSWER") == []
    schema_only: dict[str, Any] = {"function": ADD["function"]}
    error = refused(lambda: client.tools.call(path="schema", tool=schema_only))
    assert error.status_code == 422


def call_an_agent(client: Humanloop) -> None:
    """Runs what it may run, waits for the rest, goes on; whole and streamed."""
    tool = client.tools.upsert(path="add", **ADD)
    tools: list[Any] = [{"type": "file", "link": {"file_id": tool.id}}, INLINE]
    agent: dict[str, Any] = {"model": "gpt-4o", "tools": tools, "max_iterations": 4}
    messages: list[Any] = [{"role": "user", "content": "use add,ask_user"}]
    answer = client.agents.call(
        path="agent", agent=agent, messages=messages, include_trace_children=True
    )
    assert (answer.log_status, answer.output) == ("incomplete", None)
    calls = answer.previous_agent_message.tool_calls
    assert [call.function.name for call in calls] == ["add", "ask_user"]
    assert [child.output for child in answer.trace_children] == ["3"]
    result: list[Any] = [{"role": "tool", "content": "yes", "tool_call_id": calls[1].id}]
    done = client.agents.continue_call(
        log_id=answer.id, messages=result, include_trace_children=True
    )
    assert (done.id, done.log_status, done.output) == (answer.id, "complete", "so: 3, yes")
    assert len(done.trace_children) == 1
    events = list(client.agents.call_stream(path="agent", messages=messages))
    kinds = [event.type for event in events]
    assert (kinds[0], kinds[-1]) == ("agent_turn_start", "agent_turn_suspend"), kinds
    assert {"agent_start", "agent_end", "tool_start", "tool_end"} <= set(kinds)
    more = list(client.agents.continue_call_stream(log_id=events[0].log_id, messages=result))
    assert more[-1].type == "agent_turn_end"
    pieces = [event.payload.output for event in more if event.type == "agent_update"]
    assert "".join(pieces) == "so: 3, yes"


def say_everything(client: Humanloop) -> None:
    """Settings, pictures, schemas, tools and their choice go out; an unsaved call is empty."""
    picture: Any = {"type": "image_url", "image_url": {"url": "https://a.example/{{name}}.png"}}
    template: list[Any] = [
        {"role": "user", "content": [{"type": "text", "text": "What is {{name}}?"}, picture]}
    ]
    prompt: dict[str, Any] = {
        "model": "gpt-4o",
        "template": template,
        "seed": 7,
        "stop": ["END"],
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"type": "object"}},
        "tools": [ADD["function"]],
    }
    answer = client.prompts.call(
        path="all",
        prompt=prompt,
        inputs={"name": "this"},
        messages=HI,
        logprobs=2,
        tool_choice={"type": "function", "function": {"name": "add"}},
        provider_api_keys={"openai": "sk-of-the-caller"},
        user="u1",
        source="tests",
        metadata={"plan": "pro"},
    )
    stored = client.logs.get(answer.id)
    assert (stored["user"], stored["source"], stored["metadata"]["plan"]) == ("u1", "tests", "pro")
    assert stored["provider_request"]["seed"] == 7
    unsaved = client.prompts.call(path="all", messages=HI, inputs={"name": "x"}, save=False)
    kept = client.logs.get(unsaved.id)
    assert (kept["output"], kept["inputs"], kept["save"]) == (None, {}, False), kept


def fill_templates(client: Humanloop) -> None:
    """Snippets, code and Jinja stand in templates; what cannot be called is said."""
    client.tools.upsert(path="tone", tool_type="snippet", setup_values={"formal": "Be formal."})
    client.tools.upsert(path="add", **ADD)
    template: list[Any] = [{"role": "system", "content": '{{ tone("formal") }} {{ add(one, 2) }}'}]
    answer = client.prompts.call(
        path="p", prompt={"model": "gpt-4o", "template": template}, inputs={"one": 1}, messages=HI
    )
    assert answer.logs[0].output == "you said hi"
    (child,) = client.logs.get(answer.id)["trace_children"]
    assert child["output"] == "3", child
    jinja: dict[str, Any] = {
        "model": "gpt-4o",
        "template_language": "jinja",
        "template": [{"role": "user", "content": "{% for n in all %}{{ n }};{% endfor %}"}],
    }
    answer = client.prompts.call(path="j", prompt=jinja, inputs={"all": ["a", "b"]})
    assert answer.logs[0].output == "you said a;b;"
    jinja["template"] = [{"role": "user", "content": "{{ ''.__class__ }}"}]
    assert refused(lambda: client.prompts.call(path="j", prompt=jinja)).status_code == 422
    pairs = {str(number): "x" for number in range(11)}
    error = refused(lambda: client.tools.upsert(path="w", tool_type="snippet", setup_values=pairs))
    assert error.status_code == 422


def call_agents_from_agents(client: Humanloop) -> None:
    """An Agent linked as a Tool is run, and its answer handed on."""
    template: list[Any] = [{"role": "user", "content": "sum {{a}} {{b}}"}]
    inner = client.agents.upsert(path="below/add", model="gpt-4o", template=template)
    tools: list[Any] = [{"type": "file", "link": {"file_id": inner.id}}]
    outer: dict[str, Any] = {"model": "gpt-4o", "tools": tools}
    messages: list[Any] = [{"role": "user", "content": "use add"}]
    answer = client.agents.call(
        path="above", agent=outer, messages=messages, include_trace_children=True
    )
    assert (answer.log_status, answer.output) == ("complete", "so: you said sum 1 2")
    outputs = [child.output for child in answer.trace_children]
    assert "you said sum 1 2" in outputs, outputs
    kinds = [event.type for event in client.agents.call_stream(path="above", messages=messages)]
    assert {"tool_start", "tool_end", "agent_turn_end"} <= set(kinds)


SCENARIOS = {
    "13": call_a_prompt,
    "14": stream_a_prompt,
    "17": choose_a_version,
    "23": call_an_agent,
    "agents": call_agents_from_agents,
    "failures": tell_failures,
    "settings": say_everything,
    "templates": fill_templates,
    "tools": call_a_tool,
}

if __name__ == "__main__":
    SCENARIOS[sys.argv[1]](Humanloop(api_key="hl_sk_test", base_url=sys.argv[2]))
