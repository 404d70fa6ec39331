"""What a Dataset's datapoints are, read from CSV."""

import csv
import io
from typing import Any

import orjson

from kibitz_collector.errors import Invalid
from kibitz_collector.records import Json

TARGET, MESSAGES = "target", "messages"
MAX_FIELD_CHARS = 16 * 2**20


def read_csv(data: bytes) -> list[Json]:
    """Read one datapoint per line: a column is an input, but for `target` and `messages`.

    `target` holds a JSON object, or a text that becomes {"output": text}; `target.x` is its part
    x; `messages` holds a JSON list.
    Raises: Invalid, with the line.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(f"the file is not UTF-8: {error}") from None
    csv.field_size_limit(MAX_FIELD_CHARS)
    reader = csv.DictReader(io.StringIO(text, newline=""))
    datapoints = []
    try:
        if not reader.fieldnames or not any(name.strip() for name in reader.fieldnames):
            raise Invalid("the file has no first line that names its columns")
        for row in reader:
            datapoints.append(_datapoint(row, reader.line_num))
    except csv.Error as error:
        raise Invalid(f"line {reader.line_num}: {error}") from None
    return datapoints


def _datapoint(row: dict[str | Any, str | Any], line: int) -> Json:
    inputs: Json = {}
    target: Json = {}
    datapoint: Json = {"inputs": inputs}
    for column, value in row.items():
        if column is None:
            raise Invalid(f"line {line} has more values than there are columns")
        if value is None:
            continue
        if column == TARGET:
            target |= _target(value)
        elif column.startswith(f"{TARGET}."):
            target[column[len(TARGET) + 1 :]] = value
        elif column == MESSAGES:
            if value.strip():
                datapoint["messages"] = _messages(value, line)
        else:
            inputs[column] = value
    return datapoint | ({"target": target} if target else {})


def _target(value: str) -> Json:
    if not value:
        return {}
    try:
        read = orjson.loads(value)
    except orjson.JSONDecodeError:
        read = None
    return read if isinstance(read, dict) else {"output": value}


def _messages(value: str, line: int) -> Any:
    try:
        messages = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"line {line}: messages is not JSON: {error}") from None
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        raise Invalid(f"line {line}: messages must be a list of objects")
    return messages
