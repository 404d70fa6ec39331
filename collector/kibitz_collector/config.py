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
    provider_timeout_s: float = Field(
        120.0,
        gt=0,
        description="how long a model provider may be silent (also KIBITZ_PROVIDER_TIMEOUT)",
        validation_alias=AliasChoices("KIBITZ_PROVIDER_TIMEOUT_S", "KIBITZ_PROVIDER_TIMEOUT"),
    )
    tool_timeout_s: float = Field(10.0, gt=0, description="wall time of one call of a code Tool")

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
