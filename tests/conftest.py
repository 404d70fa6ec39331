"""For all tests: no outer setting leaks in; in CI nothing is skipped for want of a server."""

import os
import shutil

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.databases"]

# A busy machine is no failure, and CI must not be red by chance: it tries the same examples each
# time; new ones are looked for wherever else the tests run.
settings.register_profile(
    "kibitz",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("kibitz")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their parameter: gzip writes the time into them, and pytest's workers
    must all find tests of the same names."""
    return argname if isinstance(val, bytes) else None


def pytest_xdist_auto_num_workers() -> int:
    """One and a half a core: tests spend much of their time waiting for other processes."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)


@pytest.fixture(autouse=True)
def no_outer_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("KIBITZ_", "OTEL_")) and not name.startswith("KIBITZ_TEST_"):
            monkeypatch.delenv(name)


def need(found: object, what: str) -> None:
    """Skip a test that needs a program which is not installed; in CI that is a failure."""
    if found:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI must have {what}", pytrace=False)
    pytest.skip(f"needs {what}")


@pytest.fixture(scope="session")
def chromium() -> tuple[str, str]:
    """Paths of Chromium and its driver."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    need(browser and driver, "chromium and chromedriver")
    return str(browser), str(driver)
