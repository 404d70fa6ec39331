"""The pages in a real browser: no console error, keyboard, light and dark, nothing injected."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests.e2e.conftest import Served

pytestmark = pytest.mark.browser

TRACE = "0af7651916cd43dd8448eb211c80319c"
XSS = "<img src=x onerror=window.pwned=1><script>window.pwned=1</script>[a](javascript:pwned=1)"


@pytest.fixture
def browser(chromium: tuple[str, str], tmp_path: Path) -> Iterator[webdriver.Chrome]:
    options = Options()
    options.binary_location = chromium[0]
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1440,1000",
        f"--user-data-dir={tmp_path / 'profile'}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(chromium[1]))
    yield driver
    driver.quit()


def span(span_id: str, name: str, parent: str = "", **attributes: Any) -> dict[str, Any]:
    now = time.time_ns()
    values = [{"key": k, "value": {"stringValue": v}} for k, v in attributes.items()]
    return {
        "traceId": TRACE,
        "spanId": span_id,
        "parentSpanId": parent,
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(now - 2_000_000_000),
        "endTimeUnixNano": str(now - 1_000_000_000),
        "attributes": values,
    }


@pytest.fixture
def seeded(collector: Served) -> Served:
    """A collector with one trace, whose every text tries to break out of the page."""
    messages = [{"role": "user", "parts": [{"type": "text", "content": XSS}]}]
    flow = span(
        "b7ad6b7169203331",
        XSS,
        **{
            "gen_ai.operation.name": "invoke_workflow",
            "kibitz.file.path": "support/answer",
            "kibitz.file.type": "flow",
            "kibitz.log.inputs": json.dumps({"question": XSS}),
            "kibitz.log.output": json.dumps(XSS),
            "session.id": "chat<b>1",
            "user.id": XSS,
        },
    )
    call = span(
        "00f067aa0ba902b7",
        "chat gpt-4o-mini",
        "b7ad6b7169203331",
        **{
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.input.messages": json.dumps(messages),
            "gen_ai.output.messages": json.dumps(
                [{"role": "assistant", "parts": [{"type": "text", "content": "Refund granted"}]}]
            ),
            "gen_ai.usage.input_tokens": "100",
            "gen_ai.usage.output_tokens": "20",
        },
    )
    body = {
        "resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": [flow, call]}]}]
    }
    with collector.client() as client:
        assert client.post("/v1/traces", json=body).status_code == 200
        assert len(client.get("/api/logs").json()["items"]) == 2
    return collector


def quiet(driver: webdriver.Chrome) -> None:
    """Nothing was injected and the console is clean."""
    assert driver.execute_script("return window.pwned") is None
    noise = [
        entry for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")
    ]
    assert noise == []


def photograph(driver: webdriver.Chrome, name: str) -> None:
    folder = os.environ.get("KIBITZ_TEST_SCREENSHOTS")
    if folder:
        driver.save_screenshot(str(Path(folder) / f"{name}.png"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_renders_without_a_console_error(
    browser: webdriver.Chrome, seeded: Served, theme: str
) -> None:
    browser.get(seeded.url + "/logs")
    browser.add_cookie({"name": "kibitz_theme", "value": theme})
    with seeded.client() as client:
        log_id = client.get("/api/logs", params={"q": "kind:flow"}).json()["items"][0]["id"]
        file = client.post("/v5/flows", json={"path": "checks/flow", "attributes": {}}).json()
        made = {"file": {"id": file["id"]}, "name": f"{XSS} {theme}", "evaluators": []}
        evaluation_id = client.post("/v5/evaluations", json=made).json()["id"]
    pages = {
        "logs": "/logs?view=all",
        "log": f"/logs/{log_id}",
        "sessions": "/sessions",
        "session": "/sessions/chat%3Cb%3E1",
        "monitors": "/monitors",
        "evaluations": "/evaluations",
        "evaluation": f"/evaluations/{evaluation_id}",
        "alerts": "/alerts",
        "health": "/health",
        "docs": "/docs",
    }
    for name, path in pages.items():
        browser.get(seeded.url + path)
        assert browser.find_elements(By.TAG_NAME, "h1"), name
        assert browser.execute_script("return document.documentElement.dataset.theme") == theme
        quiet(browser)
        photograph(browser, f"{name}-{theme}")


def test_logs_are_read_by_keyboard_alone(browser: webdriver.Chrome, seeded: Served) -> None:
    browser.get(seeded.url + "/logs?view=all")

    def press(*keys: str) -> None:
        for key in keys:
            webdriver.ActionChains(browser).send_keys(key).perform()

    press("/")
    assert browser.switch_to.active_element.get_attribute("name") == "q"
    press("kind:flow", Keys.ENTER)
    WebDriverWait(browser, 10).until(lambda d: "kind" in d.current_url)
    press("j", Keys.ENTER)
    WebDriverWait(browser, 10).until(lambda d: "/logs/log_" in d.current_url)
    press("u")
    WebDriverWait(browser, 10).until(lambda d: d.current_url.endswith("/logs"))
    press("g", "s")
    WebDriverWait(browser, 10).until(lambda d: d.current_url.endswith("/sessions"))
    press("?")
    assert browser.find_element(By.ID, "keys").is_displayed()
    quiet(browser)


def test_judgment_by_hand_is_stored_and_shown(browser: webdriver.Chrome, seeded: Served) -> None:
    browser.get(seeded.url + "/logs")
    browser.find_element(By.CSS_SELECTOR, "tr[data-row] a").click()
    browser.find_element(By.CSS_SELECTOR, 'button[value="bad"]').click()
    WebDriverWait(browser, 10).until(lambda d: "rating: bad" in d.page_source)
    browser.find_element(By.CSS_SELECTOR, "#judgments summary").click()
    browser.find_element(By.CSS_SELECTOR, "#judgments textarea").send_keys("Say sorry first")
    browser.find_element(By.CSS_SELECTOR, "#judgments textarea ~ *, #judgments .primary").click()
    WebDriverWait(browser, 10).until(lambda d: "Say sorry first" in d.page_source)
    with seeded.client() as client:
        found = client.get("/api/logs", params={"q": "judgment.rating:bad"}).json()["items"]
    assert [log["kind"] for log in found] == ["flow"]
    quiet(browser)


def test_live_list_shows_what_arrives(browser: webdriver.Chrome, seeded: Served) -> None:
    browser.get(seeded.url + "/logs?view=all")
    browser.find_element(By.CSS_SELECTOR, "[data-live]").click()
    late = span("1111111111111111", "late", **{"gen_ai.operation.name": "execute_tool"})
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [late]}]}]}
    with seeded.client() as client:
        assert client.post("/v1/traces", json=body).status_code == 200
    WebDriverWait(browser, 10).until(lambda d: d.find_elements(By.CSS_SELECTOR, "tr.new"))
    quiet(browser)
