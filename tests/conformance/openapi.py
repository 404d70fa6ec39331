"""Compares an OpenAPI document with the contract: what a client may send and rely on, all the way
down.

What is sent: whatever the contract allows must be allowed, and nothing more may be required. What
is answered: whatever the contract promises must be promised. Enums must name the same values.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Schema = dict[str, Any]
Way = Literal["sent", "answered"]
_METHODS = ("get", "post", "patch", "put", "delete")


@dataclass(frozen=True, slots=True)
class Api:
    """An OpenAPI document."""

    document: Schema
    prefix: str = ""

    def operations(self) -> dict[tuple[str, str], Schema]:
        """Return the operations by method and path; parameters in paths have no names."""
        return {
            (method, re.sub(r"\{[^}]+\}", "{}", path.removeprefix(self.prefix))): item[method]
            for path, item in self.document["paths"].items()
            if path.startswith(self.prefix)
            for method in _METHODS
            if method in item
        }

    def resolve(self, schema: Schema) -> Schema:
        """Return what a reference refers to."""
        while "$ref" in schema:
            found: Any = self.document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            schema = found
        return schema

    def choices(self, schema: Schema) -> list[Schema]:
        """Return what a value can be, without null: the members of unions, flat."""
        schema = self.resolve(schema)
        members = schema.get("anyOf") or schema.get("oneOf")
        if members:
            return [one for member in members for one in self.choices(member)]
        types = schema.get("type")
        if isinstance(types, list):
            return [{**schema, "type": one} for one in types if one != "null"]
        return [] if types == "null" else [schema]


@dataclass(slots=True)
class Comparison:
    """One pass over both documents."""

    ours: Api
    contract: Api
    _seen: set[str] = field(default_factory=set)  # pairs of schemas: each is compared once

    def differences(self) -> Iterator[str]:
        """Name every place where ours is not what the contract says."""
        mine, theirs = self.ours.operations(), self.contract.operations()
        for key, operation in theirs.items():
            if key in mine:
                name = operation["operationId"]
                yield from (f"{name}: {one}" for one in self._operation(mine[key], operation))

    def missing(self) -> set[str]:
        """Return the operations that ours has not."""
        absent = self.contract.operations().keys() - self.ours.operations().keys()
        return {self.contract.operations()[key]["operationId"] for key in absent}

    def surplus(self) -> set[tuple[str, str]]:
        """Return what ours has and the contract has not."""
        return set(self.ours.operations().keys() - self.contract.operations().keys())

    def _operation(self, ours: Schema, theirs: Schema) -> Iterator[str]:
        if ours.get("operationId") != theirs["operationId"]:
            yield f"is called {ours.get('operationId')}"
        known = {(one["in"], one["name"]): one for one in ours.get("parameters", [])}
        asked = {(one["in"], one["name"]): one for one in theirs.get("parameters", [])}
        for place, parameter in asked.items():
            if place[0] == "path":
                continue
            if place not in known:
                yield f"has no parameter {place[1]}"
                continue
            if known[place].get("required") and not parameter.get("required"):
                yield f"requires parameter {place[1]}"
            mine = _single(self.ours, known[place]["schema"])
            yield from self._values(
                mine, _single(self.contract, parameter["schema"]), f"?{place[1]}"
            )
        for place, parameter in known.items():
            if place not in asked and parameter.get("required") and place[0] != "path":
                yield f"requires parameter {place[1]}, which the contract has not"
        yield from self._bodies(ours.get("requestBody"), theirs.get("requestBody"), "sent", "body")
        for status, answer in theirs["responses"].items():
            if status not in ours["responses"]:
                yield f"has no answer {status}"
                continue
            mine, promised = ours["responses"][status], self.contract.resolve(answer)
            yield from self._bodies(mine, promised, "answered", status)

    def _bodies(
        self, ours: Schema | None, theirs: Schema | None, way: Way, at: str
    ) -> Iterator[str]:
        for kind, content in ((theirs or {}).get("content") or {}).items():
            mine = ((ours or {}).get("content") or {}).get(kind)
            if mine is None or not mine.get("schema"):
                yield f"{at} has no {kind}"
            else:
                yield from self._schema(mine["schema"], content["schema"], way, at)

    def _schema(self, ours: Schema, theirs: Schema, way: Way, at: str) -> Iterator[str]:
        pair = json.dumps([way, ours, theirs], sort_keys=True)
        if pair in self._seen:
            return
        self._seen.add(pair)
        mine, wanted = self.ours.choices(ours), self.contract.choices(theirs)
        yield from self._values(mine, wanted, at)
        objects = [one for one in mine if one.get("type") == "object"]
        shapes = [one for one in wanted if one.get("type") == "object" and one.get("properties")]
        if shapes and not objects:
            yield f"{at} is no object"
        elif way == "sent":  # all that clients know must be taken
            for one in shapes:
                nearest = self._nearest(self.ours, objects, self.contract, one)
                yield from self._object(nearest, one, way, at)
        elif shapes:  # clients must know all that is answered
            for one in objects:
                nearest = self._nearest(self.contract, shapes, self.ours, one)
                yield from self._object(one, nearest, way, at)
        items = [one.get("items", {}) for one in mine if one.get("type") == "array"]
        for one in wanted:
            if one.get("type") == "array" and items:
                yield from self._schema(items[0], one.get("items", {}), way, f"{at}[]")
            elif one.get("type") == "array" and mine:
                yield f"{at} is no list"

    def _object(self, ours: Schema | None, theirs: Schema, way: Way, at: str) -> Iterator[str]:
        if ours is None:
            yield f"{at} is no object"
            return
        if ours.get("additionalProperties") is True and not ours.get("properties"):
            return  # anything goes
        mine, wanted = ours.get("properties", {}), theirs["properties"]
        required, promised = set(ours.get("required", ())), set(theirs.get("required", ()))
        for name, schema in wanted.items():
            if name not in mine:
                yield f"{at}.{name} is missing"
                continue
            if way == "sent" and name in required - promised:
                yield f"{at}.{name} is required"
            if way == "answered" and name in promised - required:
                yield f"{at}.{name} is not promised"
            yield from self._schema(mine[name], schema, way, f"{at}.{name}")
        for name in required - wanted.keys() if way == "sent" else ():
            yield f"{at}.{name} is required, which the contract has not"

    def _nearest(self, api: Api, choices: list[Schema], other: Api, wanted: Schema) -> Schema:
        """Return the member of a union that is meant: its marks, then most of its properties."""
        names = wanted.get("properties", {}).keys()

        def marks(of: Api, schema: Schema, name: str) -> set[Any]:
            property_ = schema.get("properties", {}).get(name, {})
            return {value for one in of.choices(property_) for value in _enum(one)}

        def fit(one: Schema) -> tuple[bool, int]:
            is_same = all(
                marks(api, one, name) & marks(other, wanted, name) or not marks(other, wanted, name)
                for name in ("type", "evaluator_type")
            )
            properties = one.get("properties", {}).keys()
            return is_same, len(properties & names) - len(properties - names)

        return max(choices, key=fit)

    def _values(self, ours: list[Schema], theirs: list[Schema], at: str) -> Iterator[str]:
        wanted = {value for one in theirs for value in _enum(one)}
        if not wanted:
            return
        known = {value for one in ours for value in _enum(one)}
        if wanted - known:
            yield f"{at} does not name {sorted(wanted - known)}"


def _single(api: Api, schema: Schema) -> list[Schema]:
    """Return what a parameter can be, each time it is given."""
    choices = api.choices(schema)
    lists = [item for one in choices for item in api.choices(one.get("items", {}))]
    return [*(one for one in choices if one.get("type") != "array"), *lists]


def _enum(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))
