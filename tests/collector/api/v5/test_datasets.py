"""Datapoints: sets of them are Versions; pages; CSV."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

ADA = {"inputs": {"q": "Who?"}, "target": {"output": "Ada", "rank": 1}}
BOB = {"inputs": {"q": "Who else?"}, "messages": [{"role": "user", "content": "Hi"}]}


def change(client: TestClient, *datapoints: Any, status: int = 200, **more: Any) -> Any:
    query = {name: more.pop(name) for name in ("version_id", "environment") if name in more}
    query["include_datapoints"] = True
    body = {"path": "tests/d", "datapoints": list(datapoints), **more}
    answer = client.post("datasets", json=body, params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def questions(dataset: Any) -> list[str]:
    return [one["inputs"].get("q") for one in dataset["datapoints"]]


def test_equal_datapoints_are_one_and_their_order_makes_no_version(client: TestClient) -> None:
    one = change(client, ADA, BOB, ADA, {**ADA, "messages": None})
    assert one["datapoints_count"] == 2
    assert [one["datapoints"][0][k] for k in ("inputs", "target")] == [*ADA.values()]
    assert change(client, BOB, ADA)["version_id"] == one["version_id"]
    forced = change(client, ADA, {**ADA, "inputs": {"q": "Who?", "_dedupe_id": "2"}})
    assert forced["datapoints_count"] == 2
    assert forced["version_id"] != one["version_id"]
    assert forced["datapoints"][0]["id"] == one["datapoints"][0]["id"]


def test_datapoints_are_added_to_and_removed_from_a_version(client: TestClient) -> None:
    one = change(client, ADA)
    two = change(client, BOB, action="add")
    assert questions(two) == ["Who?", "Who else?"]
    assert questions(change(client, ADA, action="remove")) == ["Who else?"]
    other = {"inputs": {"q": "New"}}
    from_one = change(client, other, action="add", version_id=one["version_id"])
    assert questions(from_one) == ["Who?", "New"]
    from_default = change(client, BOB, action="add", environment="production")
    assert from_default["version_id"] == two["version_id"]
    assert questions(change(client, action="add")) == ["Who?", "New"]  # the latest, looked up
    assert change(client, action="set")["datapoints_count"] == 0
    change(client, ADA, action="add", version_id="dsv_none", status=404)


def test_inputs_become_texts(client: TestClient) -> None:
    (point,) = change(client, {"inputs": {"n": 1, "l": ["a"], "none": None}})["datapoints"]
    assert point["inputs"] == {"n": "1", "l": '["a"]'}


def test_datapoints_are_read_with_the_dataset_or_in_pages(client: TestClient) -> None:
    made = change(client, *({"inputs": {"q": str(number)}} for number in range(25)))
    url = f"datasets/{made['id']}"
    assert client.get(url).json()["datapoints"] is None
    whole = client.get(url, params={"include_datapoints": True}).json()
    assert questions(whole) == [str(number) for number in range(25)]
    pages = [
        client.get(f"{url}/datapoints", params={"page": page, "size": 10}).json()
        for page in (1, 2, 3, 4)
    ]
    assert [len(page["records"]) for page in pages] == [10, 10, 5, 0]
    assert pages[3]["total"] == 25
    everything = client.get(f"{url}/datapoints", params={"size": 1000}).json()
    assert everything["records"] == whole["datapoints"]


def test_versions_show_the_latest_ones_datapoints_when_asked(client: TestClient) -> None:
    made = [change(client, ADA), change(client, BOB)]
    url = f"datasets/{made[0]['id']}/versions"
    shown = client.get(url, params={"include_datapoints": "latest_saved"}).json()["records"]
    assert [one["version_id"] for one in shown] == [made[1]["version_id"], made[0]["version_id"]]
    assert questions(shown[0]) == ["Who else?"]
    assert shown[1]["datapoints"] is None
    assert {one["datapoints"] for one in client.get(url).json()["records"]} == {None}


def form(csv: str, *fields: tuple[str, str]) -> bytes:
    parts = [f'Content-Disposition: form-data; name="{n}"\r\n\r\n{v}' for n, v in fields]
    head = 'Content-Disposition: form-data; name="file"; filename="a.csv"\r\nContent-Type: text/csv'
    parts.append(f"{head}\r\n\r\n{csv}")
    return "".join(f"--bound\r\n{part}\r\n" for part in parts).encode() + b"--bound--\r\n"


@pytest.mark.parametrize("told", ["; boundary=bound", '; boundary="bound"', ""])
def test_csv_is_added_to_the_default_version(client: TestClient, told: str) -> None:
    made = change(client, ADA)
    change(client, BOB)
    messages = '"[{""role"":""user"",""content"":""m""}]"'
    lines = [
        "\ufeffq,target,target.rank,messages",
        '"a\r\nb",yes,2,',
        'c,"{""x"": 1}",,' + messages,
    ]
    csv = "\r\n".join(lines) + "\r\n"
    answer = client.post(
        f"datasets/{made['id']}/datapoints/csv",
        content=form(csv, ("version_name", "from a file"), ("version_description", "why")),
        headers={"Content-Type": f"multipart/form-data{told}"},
    )
    assert answer.status_code == 200, answer.text
    added = answer.json()
    assert (added["version_name"], added["version_description"]) == ("from a file", "why")
    query = {"version_id": added["version_id"], "include_datapoints": True}
    points = client.get(f"datasets/{made['id']}", params=query).json()["datapoints"]
    assert [{k: v for k, v in p.items() if k != "id" and v is not None} for p in points] == [
        ADA,
        {"inputs": {"q": "a\r\nb"}, "target": {"output": "yes", "rank": "2"}},
        {
            "inputs": {"q": "c"},
            "target": {"x": 1, "rank": ""},
            "messages": [{"role": "user", "content": "m", "name": None, "tool_call_id": None,
                          "tool_calls": None, "thinking": None}],
        },
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "content_type", "status", "words"),
    [
        (form("a,b\n1,2,3"), "multipart/form-data; boundary=bound", 422, "line 2 has more values"),
        (form(""), "multipart/form-data", 422, "names its columns"),
        (form("a\n1\n").replace(b"a.csv", b"\xff"), "multipart/form-data", 200, ""),
        (form("a\n\xff").replace(b"\xc3\xbf", b"\xff"), "multipart/form-data", 422, "not UTF-8"),
        (form("messages\n{}"), "multipart/form-data", 422, "list of objects"),
        (form("messages\n[{}]"), "multipart/form-data", 422, "datapoint is refused"),
        (form("target\n" + '{"a":' * 900 + "1" + "}" * 900), "multipart/form-data", 422, "deeper"),
        (form("a\n1")[:-12], "multipart/form-data", 400, "breaks off"),
        (b"a,b\n1,2\n", "multipart/form-data", 400, "no boundary"),
        (b"a,b\n1,2\n", "text/csv", 415, "send multipart/form-data"),
        (form("a").replace(b'"file"', b'"other"'), "multipart/form-data", 422, "field `file`"),
    ],
)
def test_what_is_no_csv_form_is_refused(
    client: TestClient, body: bytes, content_type: str, status: int, words: str
) -> None:
    made = change(client, ADA)
    url = f"datasets/{made['id']}/datapoints/csv"
    answer = client.post(url, content=body, headers={"Content-Type": content_type})
    assert answer.status_code == status, answer.text
    assert words in answer.text


def test_csv_for_no_dataset_is_refused(client: TestClient) -> None:
    headers = {"Content-Type": "multipart/form-data"}
    answer = client.post("datasets/ds_none/datapoints/csv", content=form("a\n1"), headers=headers)
    assert answer.status_code == 404
