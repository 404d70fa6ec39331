"""`kibitz worker`: more evaluation, alert and delivery workers on a team's PostgreSQL database."""

import argparse
import signal
import sys
import threading

from kibitz_collector import workers
from kibitz_collector.cli.arguments import add_settings, read_settings
from kibitz_collector.cli.serve import shown, start_logging
from kibitz_collector.config import Settings
from kibitz_collector.errors import SetupError
from kibitz_collector.store import open_store

_SETTINGS = (
    "database_url",
    "log_level",
    "evaluate",
    "evaluate_workers",
    "run_concurrency",
    "alert",
    "alert_tick_s",
    "sandbox",
    "evaluator_timeout_s",
    "judge_concurrency",
    "judge_timeout_s",
    "prices_file",
    *(f"{provider}_api_key" for provider in ("openai", "anthropic", "openai_azure", "deepseek")),
    *(f"{provider}_api_key" for provider in ("groq", "mistral", "google", "bedrock", "cohere")),
    "replicate_api_key",
    *(f"{provider}_base_url" for provider in ("openai", "anthropic", "openai_azure")),
    *(f"{provider}_base_url" for provider in ("ollama", "vllm")),
    "provider_timeout_s",
    "tool_timeout_s",
    "allowed_hosts",
    "job_lease_s",
    "trace_idle_s",
    "secret_key",
    "smtp_url",
    "allow_private_webhooks",
    "allow_custom_channel_hosts",
    "public_url",
    "grace_s",
)


def main(argv: list[str]) -> int:
    """Run until SIGINT or SIGTERM; returns the exit code."""
    parser = argparse.ArgumentParser(prog="kibitz worker", description=__doc__)
    add_settings(parser, _SETTINGS)
    try:
        return work(read_settings(parser.parse_args(argv)))
    except SetupError as error:
        print(f"kibitz worker: {error.message}", file=sys.stderr)
        return error.exit_code


def work(settings: Settings) -> int:
    """Open the database and run its workers until told to stop.

    Raises: SetupError: the database or the sandbox cannot be used; one line says why.
    """
    if settings.database_url.startswith("sqlite"):
        raise SetupError(
            "a SQLite database has all its workers in `kibitz serve`; "
            "give --database-url postgresql://… to add more"
        )
    start_logging(settings)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    store = open_store(settings.database_url)
    try:
        running = workers.start(settings, store, workers.own_prices(settings))
        print(f"kibitz is working on {shown(settings)}", flush=True)
        stop.wait()
        running.stop(settings.grace_s)
    finally:
        store.close()
    return 0
