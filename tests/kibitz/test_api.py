import importlib.metadata
import subprocess
import sys
from pathlib import Path

import kibitz
from kibitz.testing import Spans

PUBLIC = {
    "errors": "ApiError ChecksFailed ConfigError ExportError IntegrationError KibitzError",
    "client": "CallResult CallStream EvaluationResult Prompt call evaluate get_prompt",
    "decorators": "evaluator flow prompt tool ToolFunction",
    "grouping": "current CurrentLog extract inject judge propagate session",
    "set-up": "FlushResult flush handler init instrument shutdown tracer_provider uninstrument "
    "__version__",
}


def test_the_public_names_are_these() -> None:
    names = " ".join(PUBLIC.values()).split()
    assert sorted(kibitz.__all__) == sorted(names)
    assert all(getattr(kibitz, name) is not None for name in names)


def test_the_version_is_the_distribution_s() -> None:
    assert kibitz.__version__ == importlib.metadata.version("kibitz")


def test_importing_loads_nothing_heavy_and_patches_nothing() -> None:
    program = """
import concurrent.futures, sys, threading
before = concurrent.futures.ThreadPoolExecutor.submit, threading.Thread.start
import kibitz
assert before == (concurrent.futures.ThreadPoolExecutor.submit, threading.Thread.start)
heavy = {"pydantic", "wrapt", "opentelemetry.sdk", "httpx", "numpy", "pytest"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_usage_is_typed() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(Path(__file__).with_name("typing_api.py"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_apps_have_the_fixture_too(spans: Spans) -> None:
    kibitz.flow(path="f")(lambda: 1)()
    assert spans.tree() == {"f": {}}
