"""One way to call a Prompt, a Tool or an Agent: render, ask, store a Log; for API, judges, runs."""

from kibitz_collector.calls.agent_runs import AgentRun, resume_agent
from kibitz_collector.calls.agents import AgentEvent, run_agent, start_agent
from kibitz_collector.calls.asking import Piece, Question, Sample, ask_only, provider_name
from kibitz_collector.calls.labels import Labels
from kibitz_collector.calls.prompts import PromptCall, call_prompt, stream_prompt, to_question
from kibitz_collector.calls.targets import Target, find_target
from kibitz_collector.calls.tools import RunTool, ToolCall, ToolOutcome, ToolResult, call_tool

__all__ = [
    "AgentEvent",
    "AgentRun",
    "Labels",
    "Piece",
    "PromptCall",
    "Question",
    "RunTool",
    "Sample",
    "Target",
    "ToolCall",
    "ToolOutcome",
    "ToolResult",
    "ask_only",
    "call_prompt",
    "call_tool",
    "find_target",
    "provider_name",
    "resume_agent",
    "run_agent",
    "start_agent",
    "stream_prompt",
    "to_question",
]
