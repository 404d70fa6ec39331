"""What integrations build on: say which method to patch and how to read it; the rest happens here.

An integration is a list of `Endpoint`s and pure functions: `read_request(kwargs)`,
`read_response(reply)`, and a class that folds a streamed reply. Opening, guarding, timing and
ending spans, streams left early, raw responses, doubled calls and undoing are done here, once.
"""

from kibitz._guard import guarded
from kibitz.patching._endpoints import Endpoint, Library, StreamFold, is_patched, patch, unpatch
from kibitz.patching._reading import (
    Attributes,
    Message,
    Part,
    blob_part,
    field,
    getter,
    given,
    items,
    media_part,
    parse_json,
    rename,
    text_part,
    tool_call,
    tool_result,
    view,
)
from kibitz.patching._streams import StreamRecorder

__all__ = [
    "Attributes",
    "Endpoint",
    "Library",
    "Message",
    "Part",
    "StreamFold",
    "StreamRecorder",
    "blob_part",
    "field",
    "getter",
    "given",
    "guarded",
    "is_patched",
    "items",
    "media_part",
    "parse_json",
    "patch",
    "rename",
    "text_part",
    "tool_call",
    "tool_result",
    "unpatch",
    "view",
]
