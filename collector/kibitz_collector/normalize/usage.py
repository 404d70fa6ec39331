"""Turns the counts a sender reports into five disjoint token buckets."""

from dataclasses import dataclass

from kibitz_collector.records import Tokens

# These report input without what came from or went to the cache; nothing in the numbers shows it.
EXCLUSIVE_SCOPES = ("openlit.instrumentation.anthropic", "opentelemetry.instrumentation.bedrock")


@dataclass(slots=True, kw_only=True)
class Counts:
    """What a sender said; None: nothing."""

    input: int | None = None
    output: int | None = None
    total: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    is_disjoint: bool = False  # the sender's own form is already disjoint


def split(counts: Counts, scope_name: str) -> tuple[Tokens | None, bool]:
    """Return the buckets, and whether the numbers had to be repaired.

    By the standard input includes cache reads and writes, and output includes reasoning; senders
    that break it are told by their scope first and by arithmetic second.
    """
    if counts.input is None and counts.output is None:
        return None, False
    cached = (counts.cache_read or 0) + (counts.cache_write or 0)
    is_repaired = False
    uncached = counts.input
    if uncached is not None and not counts.is_disjoint and cached:
        if scope_name.startswith(EXCLUSIVE_SCOPES) or cached > uncached:
            is_repaired = True
        else:
            uncached -= cached
    output, reasoning, is_exclusive = _split_output(counts, (uncached or 0) + cached)
    tokens = Tokens(
        input_uncached=uncached,
        cache_read=counts.cache_read,
        cache_write=counts.cache_write,
        output=output,
        reasoning=reasoning,
    )
    return tokens, is_repaired or is_exclusive


def _split_output(counts: Counts, input_total: int) -> tuple[int | None, int | None, bool]:
    """Return visible output, reasoning, and whether output came without its reasoning."""
    output, reasoning = counts.output, counts.reasoning
    if output is None or counts.is_disjoint:
        return output, reasoning, False
    if counts.total is not None and counts.input is not None:
        hidden = counts.total - input_total - output
        if hidden > 0:
            # Gemini's candidate count leaves out the thoughts that were billed.
            return output, hidden, True
    if not reasoning:
        return output, reasoning, False
    if reasoning > output:
        return output, reasoning, True
    return output - reasoning, reasoning, False
