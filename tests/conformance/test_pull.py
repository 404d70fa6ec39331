"""`humanloop pull` of the official CLI, unmodified, and what the SDK then does with the files."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.hosted import Hosted
from tests.conformance.proxy import CheckingProxy
from tests.conformance.rigs import HEAD
from tests.e2e.conftest import clean_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CHAT: dict[str, Any] = {
    "model": "gpt-4o",
    "temperature": 0.2,
    "template": [{"role": "user", "content": "Say {{word}}."}],
}
USE_LOCAL_FILES = """
import sys
from humanloop import Humanloop
client = Humanloop(
    api_key="k", base_url=sys.argv[1], use_local_files=True, local_files_directory=sys.argv[2]
)
log = client.prompts.log(path="support/reply", output="hi", inputs={"word": "x"})
print(log.version_id)
"""


def pull(proxy: CheckingProxy, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [HEAD.python, "-m", "humanloop.cli", "pull", "--base-url", proxy.url]
    return subprocess.run(
        [*command, "--api-key", "k", "--local-files-directory", folder, *arguments],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env=clean_environment(),
        cwd=folder.parent,
    )


@pytest.fixture
def made(hosted: Hosted) -> dict[str, Any]:
    with hosted.client() as client:
        assert client.post("/api/environments", json={"name": "staging"}).is_success
        first = client.post("/v5/prompts", json={"path": "support/reply", **CHAT}).json()
        second = client.post(
            "/v5/prompts", json={"path": "support/reply", **CHAT, "temperature": 0.9}
        ).json()
        agent = {"path": "helper", "model": "gpt-4o", "max_iterations": 3}
        assert client.post("/v5/agents", json=agent).is_success
        assert client.post("/v5/flows", json={"path": "f", "attributes": {}}).is_success
        environments = client.get(f"/v5/prompts/{first['id']}/environments").json()
        (staging,) = [one["id"] for one in environments if one["name"] == "staging"]
        place = f"/v5/prompts/{first['id']}/environments/{staging}"
        query = {"version_id": second["version_id"]}
        assert client.post(place, params=query).is_success
        texts = {
            version["version_id"]: client.get(
                f"/v5/prompts/{first['id']}/serialize", params={"version_id": version["version_id"]}
            ).text
            for version in (first, second)
        }
    return {"first": first["version_id"], "second": second["version_id"], "texts": texts}


def test_the_official_cli_pulls_what_is_deployed(
    hosted: Hosted, made: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "humanloop"
    with CheckingProxy(hosted.url) as proxy:
        whole = pull(proxy, folder)
        assert whole.returncode == 0, whole.stderr
        found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
        assert found == ["helper.agent", "support/reply.prompt"]
        reply = folder / "support" / "reply.prompt"
        assert reply.read_text() == made["texts"][made["first"]]
        one = pull(proxy, folder, "--path", "support/reply.prompt", "--environment", "staging")
        assert one.returncode == 0, one.stderr
        assert reply.read_text() == made["texts"][made["second"]]
        part = pull(proxy, folder, "--path", "support")
        assert part.returncode == 0, part.stderr
        assert reply.read_text() == made["texts"][made["first"]]
    assert proxy.problems == []


def test_the_official_cli_says_what_does_not_exist(
    hosted: Hosted, made: dict[str, Any], tmp_path: Path
) -> None:
    with CheckingProxy(hosted.url) as proxy:
        for arguments, text in (
            (["--path", "nowhere"], "Directory `nowhere` does not exist"),
            (["--environment", "moon"], "Environment moon does not exist"),
        ):
            done = pull(proxy, tmp_path / "humanloop", *arguments)
            assert done.returncode == 1
            assert text in done.stderr + done.stdout
    assert proxy.problems == []


def test_the_sdk_logs_with_the_pulled_file_to_the_version_it_came_from(
    hosted: Hosted, made: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "humanloop"
    with CheckingProxy(hosted.url) as proxy:
        assert pull(proxy, folder, "--environment", "staging").returncode == 0
        done = subprocess.run(
            [HEAD.python, "-c", USE_LOCAL_FILES, proxy.url, str(folder)],
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
            env=clean_environment(),
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == made["second"]
    assert proxy.problems == []
