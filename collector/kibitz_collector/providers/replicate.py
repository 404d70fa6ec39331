"""Replicate: language models as predictions, waited for or streamed.

Models there take what each of them wants; these names are shared by most. `other` sets any.
Package `replicate>=1.0`. Source: Replicate HTTP API reference, predictions, 2026-10.
"""

import atexit
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import httpx
import orjson

from kibitz_collector.addresses import AddressRefused, check_host
from kibitz_collector.providers.failures import Failures, load
from kibitz_collector.providers.messages import (
    Image,
    limit_of,
    parts_of,
    split_system,
    stops_of,
    text_of,
)
from kibitz_collector.providers.network import certificates
from kibitz_collector.providers.types import (
    Connection,
    Delta,
    ModelRequest,
    ProviderError,
    Reply,
    without_none,
)
from kibitz_collector.records import Json, Message, Tokens

_LONGEST_POLL_S = 1.0
_ENDED = ("succeeded", "failed", "canceled", "aborted")


def call(request: ModelRequest, connection: Connection) -> Reply:
    """Ask and wait; see `Provider.call`."""
    body = write_body(request)
    failures = Failures(connection, body)
    with _translated(connection, failures):
        client = _client(connection)
        prediction = _wait(client, _create(client, request, body, failures), connection, failures)
        return read_reply(_ended(_plain(prediction), failures), body)


def stream(request: ModelRequest, connection: Connection) -> Iterator[Delta | Reply]:
    """Ask and read along; see `Provider.stream`. A model that cannot is waited for."""
    body = write_body(request)
    failures = Failures(connection, body)
    texts: list[str] = []
    with _translated(connection, failures):
        client = _client(connection)
        prediction = _create(client, request, body, failures)
        url = (prediction.urls or {}).get("stream")
        if url:
            _check_address(str(url), connection, failures)
            for text in _read_events(prediction, failures):
                texts.append(text)
                yield Delta(text=text)
        prediction = _wait(client, prediction, connection, failures)
        told = _ended(_plain(prediction), failures)
    # The events may have been cut off; the prediction has all, unless it is told to keep nothing.
    reply = read_reply(told if told.get("output") else {**told, "output": "".join(texts)}, body)
    if not texts and reply.text:
        yield Delta(text=reply.text)
    yield reply


# --- requests


def write_body(request: ModelRequest) -> Json:
    """Return model and input of the prediction."""
    system, messages = split_system(request.messages)
    if request.endpoint == "complete":
        messages = [{"role": "user", "content": request.prompt or ""}]
    pictures = [part for message in messages for part in parts_of(message.get("content"))]
    urls = [_picture(part) for part in pictures if isinstance(part, Image)]
    given = without_none(
        prompt=_write_prompt(messages),
        system_prompt=system,
        image=urls[0] if len(urls) == 1 else urls or None,
        max_tokens=limit_of(request.max_tokens),
        temperature=request.temperature,
        top_p=request.top_p,
        stop_sequences=",".join(stops_of(request.stop) or []) or None,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        seed=request.seed,
        reasoning_effort=request.reasoning_effort,
    )
    body: Json = {"model": request.model, "input": given | request.other}
    return body | ({"tools": request.tools} if request.tools else {})


def _write_prompt(messages: list[Message]) -> str:
    """Return a single message as it is, and a conversation with names before each turn."""
    if len(messages) == 1:
        return text_of(messages[0].get("content"))
    turns = [
        f"{str(message.get('role')).title()}: {text_of(message.get('content'))}"
        for message in messages
    ]
    return "\n\n".join([*turns, "Assistant:"]) if turns else ""


def _picture(image: Image) -> str:
    return image.url or f"data:{image.media_type};base64,{image.data}"


# --- replies


def read_reply(told: Json, body: Json) -> Reply:
    """Read a prediction that succeeded."""
    output = told.get("output")
    if isinstance(output, list) and all(isinstance(piece, str) for piece in output):
        output = "".join(output)
    text = output if isinstance(output, str | None) else orjson.dumps(output).decode()
    return Reply(
        message={"role": "assistant", "content": text},
        text=text,
        finish_reason="stop",
        tokens=_read_tokens(told.get("metrics")),
        model_served=told.get("version") if told.get("version") != "hidden" else None,
        response_id=told.get("id"),
        request=body,
        response=told,
    )


def _read_tokens(metrics: Json | None) -> Tokens | None:
    given, made = ((metrics or {}).get(f"{way}_token_count") for way in ("input", "output"))
    if given is None and made is None:
        return None
    return Tokens(
        input_uncached=None if given is None else int(given),
        output=None if made is None else int(made),
    )


def _ended(told: Json, failures: Failures) -> Json:
    """Return a prediction that succeeded.

    Raises: ProviderError: it did not.
    """
    if told.get("status") == "succeeded":
        return told
    error = told.get("error") or f"the prediction has {told.get('status')}"
    raise failures.of_stream(str(error), told)


# --- the package


@contextmanager
def _translated(connection: Connection, failures: Failures) -> Iterator[None]:
    errors = load("replicate.exceptions", connection, extra="replicate")
    try:
        yield
    except ProviderError:
        raise
    except errors.ReplicateError as error:
        message = error.detail or error.title or "refused with no word"
        raise failures.refused(error.status or 502, message, error.to_dict()) from None
    except (AttributeError, TypeError, LookupError, ValueError) as error:
        raise failures.unknown_answer(error) from None
    except Exception as error:
        failure = failures.of_network(error)
        if failure is None:
            raise
        raise failure from None


def _client(connection: Connection) -> Any:
    replicate = load("replicate", connection, extra="replicate")
    return replicate.Client(
        api_token=connection.api_key,
        base_url=connection.base_url,
        timeout=httpx.Timeout(connection.timeout_s),
        transport=_transport(),
    )


@cache
def _transport() -> httpx.HTTPTransport:
    """Share one pool: making one loads certificates, which takes longer than many a call."""
    transport = httpx.HTTPTransport(verify=certificates())
    atexit.register(transport.close)
    return transport


def _create(client: Any, request: ModelRequest, body: Json, failures: Failures) -> Any:
    if request.tools:
        raise failures.not_offered("gives its models no tools")
    given, (model, _, version) = body["input"], request.model.partition(":")
    if version:
        return client.predictions.create(version=version, input=given)
    return client.models.predictions.create(model, given)


def _wait(client: Any, prediction: Any, connection: Connection, failures: Failures) -> Any:
    """Wait until a prediction has ended; one that takes too long is canceled."""
    deadline, pause_s = time.monotonic() + connection.timeout_s, 0.02
    while prediction.status not in _ENDED:
        if time.monotonic() > deadline:
            client.predictions.cancel(prediction.id)
            raise failures.late()
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_POLL_S)
        prediction = client.predictions.get(prediction.id)
    return prediction


def _read_events(prediction: Any, failures: Failures) -> Iterator[str]:
    try:
        for event in prediction.stream():
            if event.event.value == "output":
                yield str(event.data)
    except RuntimeError as error:  # the package's word for the event `error`
        raise failures.of_stream(str(error)) from None


def _check_address(url: str, connection: Connection, failures: Failures) -> None:
    """Check where the answer is to be read: the server says that, not we."""
    try:
        check_host(url, connection.reach, connection.timeout_s)
    except AddressRefused as refused:
        raise failures.unknown_answer(refused) from None


def _plain(prediction: Any) -> Json:
    plain: Json = prediction.dict()
    return plain
