"""The environments that the official SDKs are driven in, and which scenarios run in which.

CI drives every scenario with the newest dependencies on SQLite, and a few of them with pinned
ones and on PostgreSQL; `KIBITZ_SOAK=1` drives all in all.
`KIBITZ_TEST_CONFORMANCE_DATABASE=postgres` puts whatever does not say otherwise on PostgreSQL.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet  # pytest has no public name for it

from tests.e2e.environments import python_with

IS_SOAK = os.environ.get("KIBITZ_SOAK") == "1"
DATABASE = os.environ.get("KIBITZ_TEST_CONFORMANCE_DATABASE", "sqlite")
_OTEL = ("api", "sdk", "proto")
_INSTRUMENTORS = ("openai", "anthropic", "bedrock", "cohere", "groq", "replicate")


@dataclass(frozen=True, slots=True)
class Rig:
    """One Python SDK and what it is installed with."""

    name: str
    requirements: tuple[str, ...]

    @property
    def python(self) -> Path:
        """The interpreter of its environment, made when first asked for."""
        return python_with(*self.requirements)


NEW = Rig("py5-new", ("humanloop==0.8.38", "requests", "openai", "anthropic"))
PIN = Rig(
    "py5-pin",
    (
        "humanloop==0.8.38",
        "requests",
        *(f"opentelemetry-{name}==1.33.1" for name in _OTEL),
        "opentelemetry-instrumentation==0.54b1",
        *(f"opentelemetry-instrumentation-{name}==0.40.4" for name in _INSTRUMENTORS),
        "openai==1.78.1",
        "anthropic==0.51.0",
    ),
)
HEAD = Rig(
    "py5-head",
    (
        "humanloop==0.8.40b6",
        "requests",
        "click<8.2",
        "openai<2",
        "anthropic<1",
        "opentelemetry-sdk<1.43",
    ),
)


def turns(
    scenarios: Mapping[str, str],
    few: Collection[str],
    *,
    rigs: Iterable[Rig] = (NEW, PIN, HEAD),
) -> Sequence[ParameterSet]:
    """Return parameters `rig, database, scenario`; `few` are those that CI tries everywhere."""
    found = []
    for rig in rigs:
        for database in ("sqlite", "postgres"):
            is_usual = rig is NEW and database == DATABASE
            is_tried = rig is NEW or (rig is PIN and database == "sqlite")
            for scenario, title in scenarios.items():
                if is_usual or IS_SOAK or (is_tried and scenario in few):
                    name = f"{rig.name}-{database}-{title}"
                    marks = [pytest.mark.postgres] if database == "postgres" else []
                    found.append(pytest.param(rig, database, scenario, id=name, marks=marks))
    return found
