"""Settings of the collector: one frozen object per process, passed in, never imported as a global.

Every field is a flag of `kibitz serve` and an environment variable `KIBITZ_<NAME>`.
"""

from typing import Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """How this collector runs."""

    model_config = SettingsConfigDict(
        env_prefix="KIBITZ_", frozen=True, extra="ignore", populate_by_name=True
    )

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(4318, ge=0, le=65535, description="port; 4318 is OTLP/HTTP's own default")
    database_url: str = Field("sqlite:///kibitz.db", description="sqlite:///FILE or postgresql://…")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="what the collector says on its own error stream"
    )

    max_body_bytes: int = Field(20 * 2**20, description="largest request body, compressed")
    max_inflated_bytes: int = Field(64 * 2**20, description="largest request body, inflated")
    max_inflate_ratio: int = Field(200, description="largest inflated / compressed ratio")
    max_pending_bytes: int = Field(
        64 * 2**20, description="bytes waiting for the writer before requests are told to come back"
    )

    evaluate: bool = Field(True, description="run evaluation workers in this process")
    evaluate_workers: int = Field(1, ge=1, description="evaluation worker threads")
    run_concurrency: int = Field(
        5, ge=1, description="calls at once, in this process, for runs of evaluations"
    )
    prices_file: str | None = Field(
        None, description="JSON file with your own prices, USD per million tokens; see README"
    )
    match_monitors: bool = Field(True, description="make evaluation jobs from what arrives")
    alert: bool = Field(True, description="evaluate alert rules in this process")
    alert_tick_s: float = Field(1.0, gt=0, description="time between two looks at the alert rules")
    sandbox: Literal["auto", "jail", "monty", "local-unsafe"] = Field(
        "auto", description="where evaluator source runs"
    )
    evaluator_timeout_s: float = Field(2.0, gt=0, description="wall time of one evaluation")
    judge_concurrency: int = Field(
        8, ge=1, le=256, description="calls of judges' models at once, in this process"
    )
    judge_timeout_s: float = Field(
        60.0, gt=0, description="wall time of one judge's model call, second tries included"
    )
    job_lease_s: float = Field(
        60.0, gt=0, description="how long a claimed job is not offered again"
    )
    trace_idle_s: float = Field(
        300.0, gt=0, description="an unfinished trace is judged after this long without news"
    )

    openai_base_url: str | None = Field(
        None,
        description="where OpenAI's API is found (also OPENAI_BASE_URL)",
        validation_alias=AliasChoices("KIBITZ_OPENAI_BASE_URL", "OPENAI_BASE_URL"),
    )
    openai_api_key: str | None = Field(
        None,
        description="key for calls to OpenAI, unless one is saved (also OPENAI_API_KEY)",
        validation_alias=AliasChoices("KIBITZ_OPENAI_API_KEY", "OPENAI_API_KEY"),
        repr=False,
    )
    anthropic_base_url: str | None = Field(
        None,
        description="where Anthropic's API is found (also ANTHROPIC_BASE_URL)",
        validation_alias=AliasChoices("KIBITZ_ANTHROPIC_BASE_URL", "ANTHROPIC_BASE_URL"),
    )
    anthropic_api_key: str | None = Field(
        None,
        description="key for calls to Anthropic, unless one is saved (also ANTHROPIC_API_KEY)",
        validation_alias=AliasChoices("KIBITZ_ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY"),
        repr=False,
    )
    openai_azure_base_url: str | None = Field(
        None,
        description="your Azure OpenAI resource (also AZURE_OPENAI_ENDPOINT)",
        validation_alias=AliasChoices("KIBITZ_OPENAI_AZURE_BASE_URL", "AZURE_OPENAI_ENDPOINT"),
    )
    openai_azure_api_key: str | None = Field(
        None,
        description="key for Azure OpenAI, unless one is saved (also AZURE_OPENAI_API_KEY)",
        validation_alias=AliasChoices("KIBITZ_OPENAI_AZURE_API_KEY", "AZURE_OPENAI_API_KEY"),
        repr=False,
    )
    deepseek_api_key: str | None = Field(
        None,
        description="key for calls to DeepSeek, unless one is saved (also DEEPSEEK_API_KEY)",
        validation_alias=AliasChoices("KIBITZ_DEEPSEEK_API_KEY", "DEEPSEEK_API_KEY"),
        repr=False,
    )
    groq_api_key: str | None = Field(
        None,
        description="key for calls to Groq, unless one is saved (also GROQ_API_KEY)",
        validation_alias=AliasChoices("KIBITZ_GROQ_API_KEY", "GROQ_API_KEY"),
        repr=False,
    )
    mistral_api_key: str | None = Field(
        None,
        description="key for calls to Mistral, unless one is saved (also MISTRAL_API_KEY)",
        validation_alias=AliasChoices("KIBITZ_MISTRAL_API_KEY", "MISTRAL_API_KEY"),
        repr=False,
    )
    google_api_key: str | None = Field(
        None,
        description="key for calls to Gemini, unless one is saved (also GEMINI_API_KEY)",
        validation_alias=AliasChoices("KIBITZ_GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"),
        repr=False,
    )
    cohere_api_key: str | None = Field(
        None,
        description="key for calls to Cohere, unless one is saved (also CO_API_KEY)",
        validation_alias=AliasChoices("KIBITZ_COHERE_API_KEY", "CO_API_KEY"),
        repr=False,
    )
    replicate_api_key: str | None = Field(
        None,
        description="key for calls to Replicate, unless one is saved (also REPLICATE_API_TOKEN)",
        validation_alias=AliasChoices("KIBITZ_REPLICATE_API_KEY", "REPLICATE_API_TOKEN"),
        repr=False,
    )
    bedrock_api_key: str | None = Field(
        None,
        description="Bedrock API key, or ID:SECRET (also AWS_BEARER_TOKEN_BEDROCK); else AWS's own "
        "way of finding one",
        validation_alias=AliasChoices("KIBITZ_BEDROCK_API_KEY", "AWS_BEARER_TOKEN_BEDROCK"),
        repr=False,
    )
    ollama_base_url: str | None = Field(
        None,
        description="where Ollama is found, if not at its own port here",
        validation_alias=AliasChoices("KIBITZ_OLLAMA_BASE_URL"),
    )
    vllm_base_url: str | None = Field(
        None,
        description="where vLLM is found, if not at its own port here",
        validation_alias=AliasChoices("KIBITZ_VLLM_BASE_URL"),
    )
    provider_timeout_s: float = Field(
        120.0,
        gt=0,
        description="how long a model provider may be silent (also KIBITZ_PROVIDER_TIMEOUT)",
        validation_alias=AliasChoices("KIBITZ_PROVIDER_TIMEOUT_S", "KIBITZ_PROVIDER_TIMEOUT"),
    )
    tool_timeout_s: float = Field(10.0, gt=0, description="wall time of one call of a Tool")
    allowed_hosts: str = Field(
        "",
        description="hosts, separated by commas, that Tools and model providers may be at "
        "whatever their address (private, link-local)",
    )

    secret_key: str | None = Field(None, description="seals secrets at rest (any long text)")
    smtp_url: str | None = Field(None, description="smtp(s)://user:password@host:port for e-mail")
    allow_private_webhooks: bool = Field(
        False,
        description="let webhooks reach private addresses (loopback always may, without keys)",
    )
    allow_custom_channel_hosts: bool = Field(
        False, description="let Apprise channels name hosts; Apprise does not check addresses"
    )
    public_url: str | None = Field(None, description="how people reach the pages; used in messages")
    used_by: str | None = Field(
        None, description="a lock file of the processes that use this collector; it ends with them"
    )
    unused_s: float = Field(60.0, gt=0, description="how long after the last of them it ends")
    grace_s: float = Field(10.0, ge=0, description="time to finish what is in hand at shutdown")
