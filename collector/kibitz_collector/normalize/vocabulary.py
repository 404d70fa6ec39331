"""The same thing under many names: providers, frameworks, roles, reasons to finish.

Source: recordings of the instrumentors of each dialect.
"""

# Frameworks write themselves where the provider belongs; on a model call the next try is right.
FRAMEWORKS = frozenset(
    (
        "agno",
        "autogen",
        "crewai",
        "gcp.vertex.agent",
        "haystack",
        "langchain",
        "langgraph",
        "litellm",
        "llama_index",
        "llamaindex",
        "openai_agents",
        "pydantic-ai",
        "pydantic_ai",
        "semantic_kernel",
        "smolagents",
        "strands",
        "strands-agents",
        "vercel",
    )
)

PROVIDERS = {
    "az.ai.openai": "azure.ai.openai",
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "azure openai": "azure.ai.openai",
    "az.ai.inference": "azure.ai.inference",
    "aws": "aws.bedrock",
    "bedrock": "aws.bedrock",
    "amazon": "aws.bedrock",
    "aws_bedrock": "aws.bedrock",
    "google": "gcp.gemini",
    "gemini": "gcp.gemini",
    "google_genai": "gcp.gemini",
    "google generative ai": "gcp.gemini",
    "generativeai": "gcp.gemini",
    "vertexai": "gcp.vertex_ai",
    "vertex_ai": "gcp.vertex_ai",
    "vertex ai": "gcp.vertex_ai",
    "xai": "x_ai",
    "x-ai": "x_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "mistral ai": "mistral_ai",
    "watsonx": "ibm.watsonx.ai",
    "watsonx.ai": "ibm.watsonx.ai",
    "ibm watsonx": "ibm.watsonx.ai",
}

# Ends of host names; asked only when no attribute names the provider.
HOSTS = (
    ("api.openai.com", "openai"),
    (".openai.azure.com", "azure.ai.openai"),
    ("api.anthropic.com", "anthropic"),
    (".amazonaws.com", "aws.bedrock"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("api.mistral.ai", "mistral_ai"),
    ("api.groq.com", "groq"),
    ("api.cohere.com", "cohere"),
    ("api.deepseek.com", "deepseek"),
    ("api.perplexity.ai", "perplexity"),
    ("api.x.ai", "x_ai"),
)

FINISH_REASONS = {
    "stop": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "complete": "stop",
    "completed": "stop",
    "finish": "stop",
    "eos_token": "stop",
    "eos": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "incomplete": "length",
    "tool_calls": "tool_call",
    "tool_call": "tool_call",
    "tool-calls": "tool_call",
    "tool_use": "tool_call",
    "function_call": "tool_call",
    "content_filter": "content_filter",
    "content-filter": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "guardrail_intervened": "content_filter",
    "error": "error",
    "abandoned": "abandoned",
    "compaction": "compaction",
}

ROLES = {
    "model": "assistant",
    "ai": "assistant",
    "developer": "system",
    "human": "user",
    "function": "tool",
}

_STANDARD_ROLES = frozenset(("system", "user", "assistant", "tool"))


def provider(name: str) -> str | None:
    """Return the standard name of a provider; None for a framework's own."""
    lowered = name.strip().lower()
    return None if lowered in FRAMEWORKS else PROVIDERS.get(lowered, lowered) or None


def provider_of_host(host: str) -> str | None:
    """Guess the provider from the address that was called."""
    for ending, name in HOSTS:
        if host.endswith(ending):
            return name
    return None


def finish_reason(reason: str) -> str:
    """Return the standard name of a reason to finish; unknown ones stay, in lower case."""
    lowered = reason.strip().lower()
    return FINISH_REASONS.get(lowered, lowered)


def role(name: str) -> str:
    """Return one of system, user, assistant, tool, or the sender's own word."""
    if name in _STANDARD_ROLES:
        return name
    lowered = name.strip().lower()
    return ROLES.get(lowered, lowered)
