"""Exports a collector in the layout of Humanloop's export tool, through the v5 API alone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

Json = dict[str, Any]


def export(client: httpx.Client, root: Path) -> Path:
    """Write everything below `root/files`; returns the root."""
    root_id = client.get("/v5/directories/root").json()["id"]
    path = client.get(f"/v5/directories/{root_id}").json()["path"]
    for file in pages(client, "/v5/files", path=path):
        folder = root / "files" / file["id"]
        kind, file_id = file["type"], file["id"]
        write(folder / "file.json", file)
        versions = client.get(f"/v5/{kind}s/{file_id}/versions").json()["records"]
        for version in versions:
            write(folder / "versions" / version["version_id"], version)
            if kind == "dataset":
                points = pages(
                    client,
                    f"/v5/datasets/{file_id}/datapoints",
                    version_id=version["version_id"],
                    size=1000,
                )
                write_lines(folder / "datapoints" / version["version_id"], points)
        write(folder / "deployments.json", list(deployments(versions)))
        if kind != "dataset":
            logs = pages(client, "/v5/logs", file_id=file_id, include_trace_children=True)
            write_lines(folder / "logs", logs)
            for evaluation in pages(client, "/v5/evaluations", file_id=file_id):
                export_evaluation(client, evaluation, folder / "evaluations" / evaluation["id"])
    return root


def export_evaluation(client: httpx.Client, evaluation: Json, folder: Path) -> None:
    path = f"/v5/evaluations/{evaluation['id']}"
    write(folder / "evaluation.json", evaluation)
    write(folder / "stats.json", client.get(f"{path}/stats").json())
    for run in client.get(f"{path}/runs").json()["runs"]:
        write(folder / "runs" / run["id"], run)
    write_lines(folder / "logs", pages(client, f"{path}/logs"))


def deployments(versions: list[Json]) -> Iterator[Json]:
    for version in versions:
        for environment in version["environments"]:
            yield {
                "version_id": version["version_id"],
                "environment_id": environment["id"],
                "environment_name": environment["name"],
                "environment_tag": environment["tag"],
            }


def pages(client: httpx.Client, place: str, /, **query: Any) -> Iterator[Json]:
    page = 1
    while True:
        answer = client.get(place, params={"size": 100, **query, "page": page})
        assert answer.is_success, answer.text
        records = answer.json()["records"]
        yield from records
        if not records:
            return
        page += 1


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_lines(folder: Path, records: Iterator[Json]) -> None:
    lines = [json.dumps(record) for record in records]
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, len(lines), 5), 1):
        (folder / f"{number}.jsonl").write_text("\n".join(lines[start : start + 5]) + "\n")
