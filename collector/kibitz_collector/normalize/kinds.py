"""What a span is: a model call, a tool, a flow … or a plain span."""

from kibitz import semconv as sc
from kibitz_collector.normalize.reading import Reading
from kibitz_collector.records import Kind

_VECTOR_DATABASES = frozenset(
    ("chroma", "pinecone", "qdrant", "weaviate", "milvus", "lancedb", "marqo", "pgvector", "vespa")
)
_CONVERSATIONS = (
    sc.INPUT_MESSAGES,
    sc.OUTPUT_MESSAGES,
    "all_messages_events",
    "pydantic_ai.all_messages",
    "ai.prompt.messages",
)
_FLAT_CONVERSATIONS = (
    "llm.input_messages.",
    "llm.output_messages.",
    "gen_ai.prompt.",
    "gen_ai.completion.",
)


def find_kind(reading: Reading) -> Kind:
    """Return the kind: what the sender calls it, else what it looks like."""
    named: Kind | None = reading.found.get("kind")
    if named is not None:
        return named
    kind, source = _guess(reading)
    if source is not None:
        reading.sources["kind"] = source
    return kind


def _guess(reading: Reading) -> tuple[Kind, str | None]:
    found, attributes = reading.found, reading.attributes
    if attributes.get("mcp.method.name") == "tools/call":
        return "tool", "mcp.method.name"
    model = found.get("model") or found.get("model_served") or found.get("model_any")
    if model and _is_used(reading):
        if found.get("agent"):
            # Agents repeat the usage of the model calls inside them.
            return "agent", "an agent's name beside a model"
        if "embed" in model.lower() and "tokens_output" not in found:
            return "embedding", "the model's name"
        return "prompt", "a model beside tokens or messages"
    for name in (sc.TOOL_NAME, "tool.name", "ai.toolCall.name"):
        if name in attributes:
            return "tool", name
    database = attributes.get("db.system") or attributes.get("db.system.name")
    if isinstance(database, str) and database.lower() in _VECTOR_DATABASES:
        return "retriever", "db.system"
    return "span", None


def _is_used(reading: Reading) -> bool:
    found, attributes = reading.found, reading.attributes
    if "tokens_input" in found or "tokens_output" in found or "usage" in found:
        return True
    if any(name in attributes for name in _CONVERSATIONS):
        return True
    return any(prefix in reading.flat for prefix in _FLAT_CONVERSATIONS)
