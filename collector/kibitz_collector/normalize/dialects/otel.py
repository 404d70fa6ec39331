"""OpenTelemetry GenAI: current names and the older forms of the same (`gen_ai.*`).

Source: semantic-conventions-genai, November 2026; older names: semantic-conventions 1.27-1.40.
"""

from kibitz import semconv as sc
from kibitz_collector.normalize import messages, values
from kibitz_collector.normalize.reading import Reading
from kibitz_collector.records import Message

NAME = "otel"
RULES = {
    "session": (sc.CONVERSATION_ID, "gcp.vertex.agent.session_id"),
    "user": (sc.USER_ID, "enduser.id"),
    "environment": (sc.ENVIRONMENT, "deployment.environment"),
    "provider": (sc.PROVIDER,),
    "server": (sc.SERVER_ADDRESS,),
    "model": (sc.REQUEST_MODEL,),
    "model_served": (sc.RESPONSE_MODEL,),
    "response_id": (sc.RESPONSE_ID,),
    "tokens_input": (sc.USAGE_INPUT, "gen_ai.usage.prompt_tokens"),
    "tokens_output": (sc.USAGE_OUTPUT, "gen_ai.usage.completion_tokens"),
    "tokens_total": ("gen_ai.usage.total_tokens",),
    "tokens_cache_read": (sc.USAGE_CACHE_READ, "gen_ai.usage.details.cache_read_tokens"),
    "tokens_cache_write": (
        sc.USAGE_CACHE_WRITE,
        sc.USAGE_CACHE_CREATION,
        "gen_ai.usage.details.cache_write_tokens",
    ),
    "tokens_reasoning": (sc.USAGE_REASONING, "gen_ai.usage.details.reasoning_tokens"),
    "usage": ("gen_ai.usage.raw",),
    "cost_reported": ("gen_ai.usage.cost", "operation.cost", "gen_ai.cost.total_cost"),
    "first_token_s": (sc.TIME_TO_FIRST_CHUNK_S, "gen_ai.client.operation.time_to_first_chunk"),
    "first_token_ms": ("gen_ai.server.time_to_first_token",),
    "finish": (sc.FINISH_REASONS,),
    "error_type": (sc.ERROR_TYPE,),
    "file_path": (sc.PROMPT_NAME,),
    "prompt_version": (sc.PROMPT_VERSION,),
    "title": (sc.TOOL_NAME, sc.WORKFLOW_NAME, sc.AGENT_NAME),
    "agent": (sc.AGENT_NAME,),
    "tool_description": (sc.TOOL_DESCRIPTION,),
    "tools": (sc.TOOL_DEFINITIONS,),
    "input": (sc.TOOL_ARGUMENTS, "gen_ai.retrieval.query.text", "gen_ai.task.input"),
    "output": (sc.TOOL_RESULT, "gen_ai.retrieval.documents", "gen_ai.task.output"),
    "temperature": (sc.REQUEST_TEMPERATURE,),
    "top_p": (sc.REQUEST_TOP_P,),
    "top_k": (sc.REQUEST_TOP_K,),
    "max_tokens": (sc.REQUEST_MAX_TOKENS,),
    "seed": (sc.REQUEST_SEED, "gen_ai.openai.request.seed"),
    "stop": (sc.REQUEST_STOP,),
    "frequency_penalty": (sc.REQUEST_FREQUENCY_PENALTY,),
    "presence_penalty": (sc.REQUEST_PRESENCE_PENALTY,),
    "n": (sc.REQUEST_CHOICE_COUNT,),
    "stream": (sc.REQUEST_STREAM,),
    "encoding_formats": (sc.REQUEST_ENCODING_FORMATS,),
    "output_type": (sc.OUTPUT_TYPE,),
    "reasoning_effort": (sc.REQUEST_REASONING_LEVEL,),
    "service_tier": ("openai.request.service_tier", "gen_ai.openai.request.service_tier"),
}
KINDS = {
    sc.OPERATION: {
        "chat": "prompt",
        "text_completion": "prompt",
        "generate_content": "prompt",
        "fetch_response": "prompt",
        "completion": "prompt",
        "generate": "prompt",
        "response": "prompt",
        "llm_call": "prompt",
        "llm_request": "prompt",
        "embeddings": "embedding",
        "embedding": "embedding",
        "retrieval": "retriever",
        "retriever": "retriever",
        "vector_db_retrieve": "retriever",
        "rerank": "retriever",
        "execute_tool": "tool",
        "tool_call": "tool",
        "create_agent": "agent",
        "invoke_agent": "agent",
        "agent_call": "agent",
        "invoke_workflow": "flow",
        "execute_task": "flow",
        "agent_step": "flow",
        "execute_event_loop_cycle": "flow",
        "chain": "flow",
    }
}
FLAT = (sc.PROMPT_VARIABLE,)


def read_input(reading: Reading) -> list[Message]:
    """Read the input messages, with the separate system instructions in front."""
    attributes = reading.attributes
    found = messages.read_messages(attributes.get(sc.INPUT_MESSAGES))
    system = attributes.get(sc.SYSTEM_INSTRUCTIONS)
    if system and not (found and found[0]["role"] == "system"):
        return messages.read_parts(system, "system") + found
    return found


def read_output(reading: Reading) -> Message | None:
    """Read the last output message that says something, and its finish reason."""
    raw = reading.attributes.get(sc.OUTPUT_MESSAGES)
    if raw is None:
        return None
    if raw.__class__ is str:
        raw = values.parse_json(raw)
    reading.take("finish", messages.read_finish_reason(raw), sc.OUTPUT_MESSAGES)
    return messages.read_output(raw)


MESSAGES = ((sc.INPUT_MESSAGES, read_input, (sc.INPUT_MESSAGES, sc.SYSTEM_INSTRUCTIONS)),)
OUTPUTS = ((sc.OUTPUT_MESSAGES, read_output, (sc.OUTPUT_MESSAGES,)),)
