"""Schemathesis over our OpenAPI document: no 5xx, no answer that the document does not describe.

Half a minute in CI; `KIBITZ_SOAK=1` takes the promised ten.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kibitz_collector.demo.model_server import ModelServer
from tests.conformance.rigs import IS_SOAK
from tests.e2e.conftest import Served, clean_environment
from tests.e2e.environments import python_with

SECONDS = 600 if IS_SOAK else 25
SCHEMATHESIS = "schemathesis==4.32.5"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
# Not `positive_data_acceptance`: that a path must exist, no schema can say.
START = "from schemathesis.cli import schemathesis; schemathesis()"  # its script has a wrong path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def make_key(collector: Served, folder: Path) -> str:
    """Make a key: else the run makes the first one, and is locked out from there on."""
    url = f"sqlite:///{collector.database}"
    command = [sys.executable, "-m", "kibitz", "keys", "--database-url", url]
    made = subprocess.run(
        [*command, "create", "fuzz", "--role", "full"],
        capture_output=True,
        text=True,
        check=True,
        env=clean_environment(),
        cwd=folder,
    )
    found = re.search(r"kbz_sk_\S+", made.stdout + made.stderr)
    assert found is not None
    return found[0]


def test_no_answer_breaks_the_document(serve: Callable[..., Served], tmp_path: Path) -> None:
    with ModelServer() as model:
        flags = ("--openai-base-url", model.base_url, "--openai-api-key", "sk-test")
        collector = serve(*flags, "--provider-timeout-s", "5")
        key = make_key(collector, tmp_path)
        done = subprocess.run(
            [
                *(python_with(SCHEMATHESIS), "-c", START, "run"),
                f"{collector.url}/openapi.json",
                *("--max-time", str(SECONDS), "--workers", "1", "--request-timeout", "60"),
                *("--header", f"X-API-KEY: {key}", "--exclude-path-regex", "^/api/keys"),
                *("--checks", ",".join(CHECKS), "--continue-on-failure", "--no-color"),
                *("--generation-database", "none", "--warnings", "off"),
                *(() if IS_SOAK else ("--seed", "1")),
            ],
            capture_output=True,
            text=True,
            timeout=SECONDS + 300,
            check=False,
            env=clean_environment(),
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in collector.errors.read_text()
