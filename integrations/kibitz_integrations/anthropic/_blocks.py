"""Content blocks of Anthropic's wire -> message parts; for what is sent and for what comes back."""

from __future__ import annotations

from typing import Any

from kibitz.patching import (
    Message,
    Part,
    blob_part,
    field,
    items,
    media_part,
    text_part,
    tool_call,
    tool_result,
)


def read_messages(messages: Any) -> list[Message]:
    """Read the `messages` argument; each may be a dict or an earlier reply."""
    return [
        {"role": field(message, "role"), "parts": read_content(field(message, "content"))}
        for message in items(messages)
    ]


def read_content(content: Any) -> list[Part]:
    """Read content: one text, or a list of blocks."""
    if isinstance(content, str):
        return [text_part(content)]
    return [read_block(block) for block in items(content)]


def read_block(block: Any) -> Part:
    """Read one content block; a kind we do not know is kept as it is."""
    kind = field(block, "type") or "unknown"
    match kind:
        case "text":
            return text_part(field(block, "text") or "")
        case "thinking":
            return {"type": "reasoning", "content": field(block, "thinking") or ""}
        case "redacted_thinking":
            return {"type": "reasoning", "content": "", "redacted": True}
        case "tool_use":
            return tool_call(field(block, "id"), field(block, "name"), field(block, "input"))
        case "tool_result":
            return _tool_result(block)
        case "image" | "document":
            return _media(kind, block)
        case "server_tool_use" | "mcp_tool_use":
            return {
                "type": "server_tool_call",
                "id": field(block, "id"),
                "name": field(block, "name"),
                "server_tool_call": {"type": field(block, "name"), "input": field(block, "input")},
            }
    if kind.endswith("_tool_result"):
        return {
            "type": "server_tool_call_response",
            "id": field(block, "tool_use_id"),
            "server_tool_call_response": {"type": kind, "content": field(block, "content")},
        }
    return block if isinstance(block, dict) else {"type": kind, "content": block}


def _tool_result(block: Any) -> Part:
    content = field(block, "content")
    answer = content if content is None or isinstance(content, str) else read_content(content)
    part = tool_result(field(block, "tool_use_id"), answer)
    if field(block, "is_error"):
        part["is_error"] = True
    return part


def _media(kind: str, block: Any) -> Part:
    source = field(block, "source")
    mime_type = field(source, "media_type")
    modality = "image" if kind == "image" else "file"
    match field(source, "type"):
        case "base64":
            return blob_part(modality, mime_type, field(source, "data"))
        case "url":
            return media_part(modality, field(source, "url") or "", mime_type)
        case "file":
            return {
                "type": "file",
                "modality": modality,
                "mime_type": mime_type,
                "file_id": field(source, "file_id"),
            }
        case "text":
            return text_part(field(source, "data") or "")
    return {"type": kind, "content": field(source, "content")}


def read_tools(tools: Any) -> list[Any]:
    """Read tool definitions into `{type, name, description, parameters}`; hosted ones stay."""
    return [_tool(tool) for tool in items(tools)]


def _tool(tool: Any) -> Any:
    if not isinstance(tool, dict) or "input_schema" not in tool:
        return tool
    read = {"type": "function", "name": tool.get("name"), "parameters": tool["input_schema"]}
    if (description := tool.get("description")) is not None:
        read["description"] = description
    return read
