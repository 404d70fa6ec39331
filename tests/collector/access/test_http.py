"""Who comes in when there are no keys."""

from pathlib import Path

from fastapi.testclient import TestClient

from kibitz_collector.app import create_app
from kibitz_collector.config import Settings


def status_at(host: str, tmp_path: Path) -> int:
    """Ask a collector without keys that listens on an address, from where its Host looks local."""
    settings = Settings(
        host=host, database_url=f"sqlite:///{tmp_path / 'k.db'}", evaluate=False, alert=False
    )
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        return client.get("/api/logs").status_code


def test_without_keys_only_a_collector_on_loopback_answers(tmp_path: Path) -> None:
    # `serve` refuses to start so; but the last key may be revoked while it runs.
    assert status_at("0.0.0.0", tmp_path) == 401
    assert status_at("127.0.0.1", tmp_path) == 200
