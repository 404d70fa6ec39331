import importlib.metadata
import subprocess
import sys
from pathlib import Path

import kibitz
from kibitz.testing import Spans

PUBLIC = ["ConfigError", "CurrentLog", "ExportError", "FlushResult", "IntegrationError", "KibitzError", "ToolFunction", "__version__", "current", "evaluator", "extract", "flow", "flush", "init", "inject", "instrument", "judge", "prompt", "propagate", "session", "shutdown", "tool", "tracer_provider", "uninstrument"]


def test_the_public_names_are_these() -> None:
    assert sorted(kibitz.__all__) == sorted(PUBLIC)
    assert all(getattr(kibitz, name) is not None for name in PUBLIC)


def test_the_version_is_the_distribution_s() -> None:
    assert kibitz.__version__ == importlib.metadata.version("kibitz")


def test_importing_loads_nothing_heavy_and_patches_nothing() -> None:
    program = """
import concurrent.futures, sys, threading
before = concurrent.futures.ThreadPoolExecutor.submit, threading.Thread.start
import kibitz
assert before == (concurrent.futures.ThreadPoolExecutor.submit, threading.Thread.start)
heavy = {"pydantic", "wrapt", "opentelemetry.sdk", "httpx", "numpy", "pytest", "fcntl_"} & set(sys.modules)
assert not heavy, heavy
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
