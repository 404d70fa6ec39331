"""Model providers: one file each, our types in and out; official packages, loaded when used."""

from kibitz_collector.providers.registry import PROVIDERS, call, embed, stream, warm
from kibitz_collector.providers.types import (
    Connection,
    Delta,
    ModelRequest,
    ProviderError,
    Reply,
)

__all__ = [
    "PROVIDERS",
    "Connection",
    "Delta",
    "ModelRequest",
    "ProviderError",
    "Reply",
    "call",
    "embed",
    "stream",
    "warm",
]
