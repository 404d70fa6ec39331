"""Directories: made by Files in them or by hand, moved with all they hold."""

from typing import Any

from fastapi.testclient import TestClient


def prompt(client: TestClient, path: str) -> Any:
    return client.post("prompts", json={"path": path, "model": "m"}).json()


def make(client: TestClient, status: int = 201, **body: Any) -> Any:
    answer = client.post("directories", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def paths(client: TestClient) -> list[str]:
    return [one["path"] for one in client.get("directories").json()]


def test_the_root_holds_what_is_at_the_top(client: TestClient) -> None:
    prompt(client, "a/b/p")
    top = prompt(client, "q")
    root = client.get("directories/root").json()
    assert (root["path"], root["parent_id"], root["parents"]) == ("", None, [])
    assert [one["path"] for one in root["subdirectories"]] == ["a"]
    names = ["correction", "q", "rating"]  # every Prompt is judged with these two
    assert sorted(one["name"] for one in root["files"]) == names
    assert top["directory_id"] == root["id"]
    assert client.get(f"directories/{root['id']}").json() == root


def test_a_directory_shows_what_is_above_and_in_it(client: TestClient) -> None:
    inner = prompt(client, "a/b/p")
    prompt(client, "a/b.c/p")
    prompt(client, "a/b/c/p")
    shown = client.get(f"directories/{inner['directory_id']}").json()
    assert (shown["path"], shown["name"]) == ("a/b", "b")
    assert [one["path"] for one in shown["parents"]] == ["", "a"]
    assert [one["path"] for one in shown["subdirectories"]] == ["a/b/c"]
    assert [one["id"] for one in shown["files"]] == [inner["id"]]
    assert client.get("directories/dir_none").status_code == 404


def test_a_directory_is_made_by_path_or_by_name(client: TestClient) -> None:
    one = make(client, path="x/y")
    two = make(client, name="z", parent_id=one["id"])
    assert (two["path"], two["parent_id"]) == ("x/y/z", one["id"])
    assert make(client, name="w")["path"] == "w"
    assert paths(client) == ["w", "x", "x/y", "x/y/z"]
    make(client, 409, path="x/y")
    make(client, 404, name="n", parent_id="dir_none")
    make(client, 422)
    prompt(client, "p")
    make(client, 409, path="p")


def test_a_directory_moves_with_all_that_is_in_it(client: TestClient) -> None:
    file = prompt(client, "a/b/p")
    prompt(client, "ab/p")
    directory = client.get("directories").json()[0]
    moved = client.patch(f"directories/{directory['id']}", json={"path": "n/m"}).json()
    assert (moved["id"], moved["path"]) == (directory["id"], "n/m")
    assert client.get(f"prompts/{file['id']}").json()["path"] == "n/m/b/p"
    assert client.get(f"prompts/{file['id']}").json()["directory_id"] == file["directory_id"]
    assert paths(client) == ["ab", "n", "n/m", "n/m/b"]
    renamed = client.patch(f"directories/{directory['id']}", json={"name": "k"}).json()
    assert renamed["path"] == "n/k"
    into_itself = client.patch(f"directories/{directory['id']}", json={"path": "n/k/x"})
    assert into_itself.status_code == 422
    taken = client.patch(f"directories/{directory['id']}", json={"path": "ab"})
    assert taken.status_code == 409
    assert client.patch("directories/root", json={"name": "r"}).status_code == 422


def test_only_an_empty_directory_is_deleted(client: TestClient) -> None:
    file = prompt(client, "a/p")
    url = f"directories/{file['directory_id']}"
    refused = client.delete(url)
    assert refused.status_code == 409
    assert "'a/p' is in it" in refused.json()["detail"]
    client.delete(f"prompts/{file['id']}")
    assert client.delete(url).status_code == 204
    assert client.delete(url).status_code == 404
    assert client.delete("directories/root").status_code == 422
    assert paths(client) == []
