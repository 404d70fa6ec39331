"""What all of `/v5` has in common: the form of refusals, wherever they come from."""

from fastapi.testclient import TestClient

UNKNOWN = ["http://localhost/v5", "nothing", "prompts/a/b/c", "import/otel/v1/metrics", "files/x/y"]


def test_unknown_paths_are_answered_in_the_contracts_form(client: TestClient) -> None:
    for path in UNKNOWN:
        for method in ("GET", "POST", "PATCH", "DELETE", "PUT"):
            answer = client.request(method, path)
            assert answer.status_code == 404
            assert answer.json()["detail"].endswith(f"{answer.request.url.path}: Not Found")


def test_unknown_methods_are_answered_in_the_contracts_form(client: TestClient) -> None:
    for method, path, allowed in (
        ("PUT", "prompts", "GET, POST"),
        ("POST", "logs", "DELETE, GET"),
        ("GET", "import/otel/v1/traces", "POST"),
    ):
        answer = client.request(method, path)
        assert answer.status_code == 405
        assert answer.json()["detail"].endswith("Method Not Allowed")
        assert answer.headers["allow"] == allowed


def test_what_cannot_be_read_is_refused_in_the_contracts_form(client: TestClient) -> None:
    answer = client.get("prompts/a%00b")
    assert answer.status_code == 400
    assert "NUL" in answer.json()["detail"]
    answer = client.post("import/otel/v1/traces", content=b"{")
    assert answer.status_code == 400
    assert "JSON" in answer.json()["detail"]


def test_bodies_of_the_wrong_form_are_refused_with_the_place(client: TestClient) -> None:
    for body in ([], "x", 1, {"path": 1}, {"path": "p", "model": []}):
        answer = client.post("prompts", json=body)
        assert answer.status_code == 422
        assert all(one["loc"][0] == "body" and one["msg"] for one in answer.json()["detail"])
