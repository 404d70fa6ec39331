"""Our own OpenAPI document beside the contract's: every operation, required field and enum."""

from typing import Any

import pytest

from kibitz_collector.app import create_app
from kibitz_collector.config import Settings
from kibitz_collector.store import open_store
from tests.conformance.contract import contract
from tests.conformance.openapi import Api, Comparison


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    settings = Settings(database_url=f"sqlite:///{tmp_path_factory.mktemp('api') / 'kibitz.db'}")
    store = open_store(settings.database_url)
    document = create_app(settings, store).openapi()
    store.close()
    return Comparison(Api(document, "/v5"), Api(contract()))


def test_every_operation_is_there(comparison: Comparison) -> None:
    assert len(comparison.contract.operations()) == 119
    assert comparison.missing() == set()
    assert comparison.surplus() == set()


def test_every_field_and_enum_is_there(comparison: Comparison) -> None:
    assert list(comparison.differences()) == []


def test_what_is_missing_or_narrower_is_found() -> None:
    """The comparison itself: each kind of difference is named."""
    wanted: dict[str, Any] = {
        "type": "object",
        "properties": {
            "kind": {"type": "string", "enum": ["a", "b"]},
            "parts": {"type": "array", "items": {"type": "object", "properties": {"x": {}}}},
            "gone": {},
        },
        "required": ["kind"],
    }
    given: dict[str, Any] = {
        "type": "object",
        "properties": {
            "kind": {"anyOf": [{"const": "a"}, {"type": "null"}]},
            "parts": {"type": "array", "items": {"type": "object", "properties": {}}},
        },
        "required": ["parts"],
    }
    found = Comparison(_api(given), _api(wanted)).differences()
    assert [one.removeprefix("f: ") for one in found] == [
        "body.kind does not name ['b']",
        "body.parts is required",
        "body.parts[].x is missing",
        "body.gone is missing",
        "200.kind is not promised",
        "200.kind does not name ['b']",
        "200.parts[].x is missing",
        "200.gone is missing",
    ]
    absent = Comparison(Api({"paths": {"/g": {"get": {}}}}), _api(wanted))
    assert (absent.missing(), absent.surplus()) == ({"f"}, {("get", "/g")})


def _api(schema: dict[str, Any]) -> Api:
    content = {"content": {"application/json": {"schema": schema}}}
    operation = {"operationId": "f", "requestBody": content, "responses": {"200": content}}
    return Api({"paths": {"/f": {"post": operation}}})
