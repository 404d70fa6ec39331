"""Amazon Bedrock: the Converse API, whole and streamed, between messages and content blocks.

Package `boto3>=1.42.97`. A key is `ID:SECRET`, `ID:SECRET:TOKEN` or a Bedrock API key; without one,
boto3 finds its own. The region is the base URL's, else boto3's.
Source: Amazon Bedrock API reference, Converse and ConverseStream, 2026-10.
"""

import base64
import functools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kibitz_collector.providers.bedrock_replies import Fold, read_reply
from kibitz_collector.providers.failures import Failures, load
from kibitz_collector.providers.messages import (
    Image,
    arguments_of,
    forced_name,
    limit_of,
    parts_of,
    schema_of,
    split_system,
    stops_of,
    text_of,
    write_turns,
)
from kibitz_collector.providers.types import (
    Connection,
    Delta,
    ModelRequest,
    ProviderError,
    Reply,
    without_none,
)
from kibitz_collector.records import Json, Message

_REGION = re.compile(r"bedrock-runtime[\w-]*\.([a-z0-9-]+)\.")
_DEFAULT_REGION = "us-east-1"
# What a stream may end with, and the status the same error has outside of one.
_STREAM_ERRORS = {
    "throttlingException": 429,
    "validationException": 400,
    "serviceUnavailableException": 503,
    "modelStreamErrorException": 502,
    "internalServerException": 500,
}


def call(request: ModelRequest, connection: Connection) -> Reply:
    """Ask and wait; see `Provider.call`."""
    body = write_body(request)
    with _translated(connection, body), _open(connection) as client:
        told = client.converse(**_binary(body, connection))
        return read_reply(_plain(told), body)


def stream(request: ModelRequest, connection: Connection) -> Iterator[Delta | Reply]:
    """Ask and read along; see `Provider.stream`."""
    body = write_body(request)
    fold = Fold()
    with _translated(connection, body), _open(connection) as client:
        told = client.converse_stream(**_binary(body, connection))
        events = told["stream"]
        try:
            for event in events:
                text = fold.add(_plain(event))
                if text:
                    yield Delta(text=text)
        finally:
            events.close()
    reply = read_reply(fold.whole(_plain(told.get("ResponseMetadata") or {})), body)
    if reply.finish_reason is None:
        raise Failures(connection, body).broken_off("no end was told")
    yield reply


# --- requests


def write_body(request: ModelRequest) -> Json:
    """Return the JSON the API takes; what it has no word for (seed, penalties) is left out."""
    messages = request.messages
    if request.endpoint == "complete":
        messages = [{"role": "user", "content": request.prompt or ""}]
    system, messages = split_system(messages)
    settings = without_none(
        maxTokens=limit_of(request.max_tokens),
        temperature=request.temperature,
        topP=None if request.top_p == 1 else request.top_p,  # some models refuse the two together
        stopSequences=stops_of(request.stop),
    )
    effort, schema = request.reasoning_effort, schema_of(request.response_format)
    fields = dict(request.other)
    if isinstance(effort, int):
        fields.setdefault("thinking", {"type": "enabled", "budget_tokens": effort})
        settings.pop("temperature", None)  # refused beside thinking
    elif effort is not None:
        fields.setdefault("reasoning_effort", effort)
    return without_none(
        modelId=request.model,
        messages=write_turns(messages, _write_blocks),
        system=None if system is None else [{"text": system}],
        inferenceConfig=settings or None,
        toolConfig=_write_tools(request) if request.tools else None,
        outputConfig=None if schema is None else _write_schema(schema),
        additionalModelRequestFields=fields or None,
    )


def _write_schema(schema: Json) -> Json:
    structure = {"jsonSchema": {"name": "response", "schema": json.dumps(schema)}}
    return {"textFormat": {"type": "json_schema", "structure": structure}}


def _write_tools(request: ModelRequest) -> Json | None:
    if request.tool_choice == "none":
        return None  # the API has no other word for it
    name = forced_name(request.tool_choice)
    choice: Json | None = None
    if name is not None:
        choice = {"tool": {"name": name}}
    elif request.tool_choice is not None:
        choice = {"any": {}} if request.tool_choice == "required" else {"auto": {}}
    tools = [{"toolSpec": _write_tool(tool)} for tool in request.tools]
    return without_none(tools=tools, toolChoice=choice)


def _write_tool(tool: Json) -> Json:
    return without_none(
        name=tool.get("name"),
        description=tool.get("description") or None,
        inputSchema={"json": tool.get("parameters") or {"type": "object", "properties": {}}},
        strict=tool.get("strict") or None,
    )


def _write_blocks(message: Message) -> list[Json]:
    if message.get("role") == "tool":
        said = [{"text": text_of(message.get("content"))}]
        return [{"toolResult": {"toolUseId": message.get("tool_call_id"), "content": said}}]
    blocks: list[Json] = [_write_thought(one) for one in message.get("thinking") or []]
    blocks += [_write_part(part) for part in parts_of(message.get("content"))]
    for tool_call in message.get("tool_calls") or []:
        used = {"toolUseId": tool_call.get("id"), "name": tool_call.get("name")}
        blocks.append({"toolUse": used | {"input": arguments_of(tool_call)}})
    return blocks


def _write_thought(thought: Json) -> Json:
    if thought.get("type") == "redacted_thinking":
        return {"reasoningContent": {"redactedContent": thought.get("data")}}
    told = without_none(text=thought.get("thinking"), signature=thought.get("signature"))
    return {"reasoningContent": {"reasoningText": told}}


def _write_part(part: str | Image) -> Json:
    if isinstance(part, str):
        return {"text": part}
    kind = (part.media_type or "").rpartition("/")[2]
    source = {"url": part.url} if part.data is None else {"bytes": part.data}
    return {"image": {"format": kind, "source": source}}


# --- the package


@contextmanager
def _translated(connection: Connection, body: Json) -> Iterator[None]:
    failures = Failures(connection, body)
    errors = load("botocore.exceptions", connection, extra="bedrock")
    try:
        yield
    except ProviderError:
        raise
    except errors.ClientError as error:
        raise _refused(failures, error.response) from None
    except (errors.ReadTimeoutError, errors.ConnectTimeoutError):
        raise failures.late() from None
    except (errors.NoCredentialsError, errors.PartialCredentialsError):
        raise failures.refused(
            401,
            "no AWS credentials: save a key with PUT /api/providers/bedrock (ID:SECRET or a "
            "Bedrock API key), send it as provider_api_keys.bedrock, or give boto3 some",
            None,
        ) from None
    except errors.ParamValidationError as error:
        raise failures.not_offered(f"is not asked like this: {error}") from None
    except (errors.EndpointConnectionError, errors.ConnectionError) as error:
        raise failures.unreachable(error) from None
    except (errors.HTTPClientError, errors.ResponseStreamingError) as error:
        raise failures.broken_off(error) from None
    except (errors.BotoCoreError, AttributeError, TypeError, LookupError, ValueError) as error:
        raise failures.unknown_answer(error) from None
    except Exception as error:
        # The decoder of streams has errors of its own, which are of no family.
        if not type(error).__module__.startswith(("botocore.", "urllib3.")):
            raise
        raise failures.broken_off(error) from None


def _refused(failures: Failures, response: Json) -> ProviderError:
    told = response.get("Error") or {}
    code = str(told.get("Code") or "")
    message = str(told.get("Message") or code)
    if code in _STREAM_ERRORS:
        return failures.refused(_STREAM_ERRORS[code], message, told)
    status = (response.get("ResponseMetadata") or {}).get("HTTPStatusCode")
    if not isinstance(status, int) or status < 400:
        return failures.of_stream(message, told)
    return failures.refused(status, message, told)


@contextmanager
def _open(connection: Connection) -> Iterator[Any]:
    """Open a client; 20 ms, of which most is reading descriptions that are read once."""
    load("boto3", connection, extra="bedrock")
    from boto3.session import Session
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.session import Session as Core

    api_key, base_url = connection.api_key, connection.base_url
    parts = (api_key or "").split(":")
    is_bearer = api_key is not None and len(parts) == 1
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    core = Core()
    core.register_component("data_loader", _descriptions())
    session = Session(
        botocore_session=core,
        **dict(zip(names, parts, strict=False)) if len(parts) > 1 else {},
    )
    found = _REGION.search(base_url or "")
    settings: Json = {
        "connect_timeout": connection.timeout_s,
        "read_timeout": connection.timeout_s,
        # One call is one request and one Log; who wants another asks again.
        "retries": {"total_max_attempts": 1},
    }
    client = session.client(
        "bedrock-runtime",
        region_name=found[1] if found else session.region_name or _DEFAULT_REGION,
        endpoint_url=base_url,
        config=Config(**settings, **({"signature_version": UNSIGNED} if is_bearer else {})),
    )
    if is_bearer:
        header = {"Authorization": f"Bearer {api_key}"}
        client.meta.events.register(
            "before-call.bedrock-runtime", lambda params, **_: params["headers"].update(header)
        )
    try:
        yield client
    finally:
        client.close()


@functools.cache
def _descriptions() -> Any:
    from botocore.session import Session as Core

    return Core().get_component("data_loader")


def _binary(body: Json, connection: Connection) -> Json:
    """Return the body as the package takes it: pictures and sealed thoughts as bytes.

    Raises: ProviderError: a picture is somewhere else, and the API fetches none.
    """
    messages = []
    for message in body["messages"]:
        blocks = [_binary_block(block) for block in message["content"]]
        if any("url" in block.get("image", {}).get("source", {}) for block in blocks):
            failures = Failures(connection, body)
            raise failures.not_offered("takes pictures as data: URLs only, it fetches none")
        messages.append({**message, "content": blocks})
    return {**body, "messages": messages}


def _binary_block(block: Json) -> Json:
    data = block.get("image", {}).get("source", {}).get("bytes")
    if data is not None:
        return {"image": {**block["image"], "source": {"bytes": base64.b64decode(data)}}}
    sealed = block.get("reasoningContent", {}).get("redactedContent")
    if sealed is not None:
        return {"reasoningContent": {"redactedContent": base64.b64decode(sealed)}}
    return block


def _plain(told: Any) -> Any:
    if isinstance(told, dict):
        return {name: _plain(value) for name, value in told.items()}
    if isinstance(told, list):
        return [_plain(value) for value in told]
    if isinstance(told, bytes):
        return base64.b64encode(told).decode()
    return told if isinstance(told, str | int | float | bool | None) else str(told)
