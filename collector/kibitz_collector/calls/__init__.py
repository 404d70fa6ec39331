"""One way to call a Prompt, a Tool or an Agent: render, ask, store a Log; for API, judges, runs."""

from kibitz_collector.calls.asking import Piece, Sample
from kibitz_collector.calls.labels import Labels
from kibitz_collector.calls.prompts import PromptCall, call_prompt, stream_prompt
from kibitz_collector.calls.targets import Target, find_target

__all__ = [
    "Labels",
    "Piece",
    "PromptCall",
    "Sample",
    "Target",
    "call_prompt",
    "find_target",
    "stream_prompt",
]
