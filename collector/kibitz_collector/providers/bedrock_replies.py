"""Reads what Amazon Bedrock's Converse API answers, whole or in events.

Source: Amazon Bedrock API reference, Converse and ConverseStream, 2026-10.
"""

import json

from kibitz_collector.providers.types import Reply
from kibitz_collector.records import Json, Message, Tokens

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}


def read_reply(told: Json, body: Json) -> Reply:
    """Read a Converse answer."""
    blocks = ((told.get("output") or {}).get("message") or {}).get("content") or []
    texts = [block["text"] for block in blocks if block.get("text") is not None]
    message: Message = {"role": "assistant", "content": "".join(texts) if texts else None}
    calls = [_read_call(block["toolUse"]) for block in blocks if block.get("toolUse")]
    if calls:
        message["tool_calls"] = calls
    thoughts = [b["reasoningContent"] for b in blocks if b.get("reasoningContent")]
    if thoughts:
        message["thinking"] = [_read_thought(thought) for thought in thoughts]
        said = [one["thinking"] for one in message["thinking"] if one.get("thinking")]
        message |= {"reasoning": "\n".join(said)} if said else {}
    reason = told.get("stopReason")
    return Reply(
        message=message,
        text=message["content"],
        finish_reason=_FINISH.get(reason, reason) if reason else None,
        tokens=_read_tokens(told.get("usage")),
        model_served=None,
        response_id=(told.get("ResponseMetadata") or {}).get("RequestId"),
        request=body,
        response={name: value for name, value in told.items() if name != "ResponseMetadata"},
    )


def _read_call(used: Json) -> Json:
    return {
        "id": str(used.get("toolUseId") or ""),
        "name": str(used.get("name") or ""),
        "arguments": json.dumps(used.get("input") or {}),
    }


def _read_thought(thought: Json) -> Json:
    if "redactedContent" in thought:
        return {"type": "redacted_thinking", "data": thought["redactedContent"]}
    told = thought.get("reasoningText") or {}
    signed = {"signature": told["signature"]} if told.get("signature") else {}
    return {"type": "thinking", "thinking": told.get("text") or ""} | signed


def _read_tokens(usage: Json | None) -> Tokens | None:
    if not usage:
        return None
    return Tokens(
        input_uncached=usage.get("inputTokens"),
        cache_read=usage.get("cacheReadInputTokens"),
        cache_write=usage.get("cacheWriteInputTokens"),
        output=usage.get("outputTokens"),
    )


class Fold:
    """Puts the events of one streamed answer together again."""

    def __init__(self) -> None:
        self._told: Json = {}
        self._blocks: dict[int, Json] = {}
        self._inputs: dict[int, str] = {}

    def add(self, event: Json) -> str:
        """Take one event; returns what it adds to the text."""
        for name, told in event.items():
            match name:
                case "contentBlockStart":
                    if "toolUse" in told["start"]:
                        self._blocks[told["contentBlockIndex"]] = dict(told["start"])
                case "contentBlockDelta":
                    return self._add_delta(told["contentBlockIndex"], told["delta"])
                case "messageStop":
                    self._told["stopReason"] = told["stopReason"]
                case "metadata":
                    self._told |= told
        return ""

    def whole(self, metadata: Json) -> Json:
        """Return the answer that the events add up to."""
        for index, text in self._inputs.items():
            try:
                self._blocks[index]["toolUse"]["input"] = json.loads(text or "{}")
            except ValueError:  # cut off by the token limit
                self._blocks[index]["toolUse"]["input"] = {}
        content = [self._blocks[index] for index in sorted(self._blocks)]
        message = {"role": "assistant", "content": content}
        return {"ResponseMetadata": metadata, "output": {"message": message}, **self._told}

    def _add_delta(self, index: int, delta: Json) -> str:
        if "text" in delta:
            block = self._blocks.setdefault(index, {"text": ""})
            block["text"] += delta["text"]
            return str(delta["text"])
        if "toolUse" in delta:
            self._inputs[index] = self._inputs.get(index, "") + delta["toolUse"].get("input", "")
        thought = delta.get("reasoningContent")
        if thought is not None:
            known = self._blocks.setdefault(index, {"reasoningContent": {}})["reasoningContent"]
            if "redactedContent" in thought:
                known["redactedContent"] = thought["redactedContent"]
            else:
                told = known.setdefault("reasoningText", {})
                for name in ("text", "signature"):
                    if thought.get(name):
                        told[name] = told.get(name, "") + thought[name]
        return ""
