"""The work every client does: about 1 KB of text in, about 1 KB of JSON out."""

from typing import Any

_SENTENCE = (
    "the model answered that our refund policy covers orders placed within thirty days "
    "unless item was used "
)
TEXT = (_SENTENCE * 12)[:1024]
ANSWER: dict[str, Any] = {
    "answer": TEXT[:900],
    "score": 0.93,
    "sources": ["doc-1", "doc-2", "doc-3"],
    "usage": {"in": 212, "out": 187},
}
PIECES = [TEXT[start : start + 100] for start in range(0, 1000, 100)]
