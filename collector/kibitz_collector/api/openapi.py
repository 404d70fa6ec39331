"""The OpenAPI document of the API: FastAPI's, and what FastAPI cannot see in the code."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from kibitz_collector.api.v5.models.calls import AgentCallStreamResponse, PromptCallStreamResponse
from kibitz_collector.api.v5.models.kernels import AgentKernel, PromptKernel
from kibitz_collector.api.v5.models.otel import TracesImport

# A model each: events of streams, a body that is read without FastAPI, and answers that leave out
# what was not said, as requests may.
_STREAMS: dict[str, type[BaseModel]] = {
    "/v5/prompts/call": PromptCallStreamResponse,
    "/v5/agents/call": AgentCallStreamResponse,
    "/v5/agents/continue": AgentCallStreamResponse,
}
_BODIES: dict[str, type[BaseModel]] = {"/v5/import/otel/v1/traces": TracesImport}
_ANSWERS: dict[str, type[BaseModel]] = {
    "/v5/prompts/deserialize": PromptKernel,
    "/v5/agents/deserialize": AgentKernel,
}
_REF = "#/components/schemas/{model}"
_REFUSALS: dict[str, dict[str, Any]] = {
    "/v5": {
        "type": "object",
        "properties": {"detail": {"description": "why, as text or as the provider said it"}},
        "required": ["detail"],
    },
    "/api": {
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
                "required": ["type", "message"],
            }
        },
        "required": ["error"],
    },
}


class DocumentedApp(FastAPI):
    """An application whose document tells of streams, spans, refusals and keys too."""

    _document: dict[str, Any] | None = None

    def openapi(self) -> dict[str, Any]:
        """Return the document; made once."""
        if self._document is None:
            self._document = _complete(super().openapi())
        return self._document


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    paths = document["paths"]
    _add_models(paths, schemas)
    for path, item in paths.items():
        _add_refusals(path, item.values())
    schemas["Refusal"], schemas["OwnRefusal"] = _REFUSALS["/v5"], _REFUSALS["/api"]
    components["securitySchemes"] = {
        "APIKeyHeader": {"type": "apiKey", "in": "header", "name": "X-API-KEY"}
    }
    document["security"] = [{"APIKeyHeader": []}, {}]  # {}: a collector without keys
    return document


def _refer(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=name)}


def _add_models(paths: dict[str, Any], schemas: dict[str, Any]) -> None:
    written: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (model, "serialization") for model in dict.fromkeys(_STREAMS.values())
    ]
    read: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (model, "validation") for model in (*_BODIES.values(), *_ANSWERS.values())
    ]
    found, definitions = models_json_schema([*written, *read], ref_template=_REF)
    for name, schema in definitions["$defs"].items():
        schemas.setdefault(name, schema)
    for path, model in _STREAMS.items():
        content = paths[path]["post"]["responses"]["200"]["content"]
        content["text/event-stream"] = {"schema": found[model, "serialization"]}
    for path, model in _BODIES.items():
        body = {"application/json": {"schema": found[model, "validation"]}}
        paths[path]["post"]["requestBody"] = {"required": True, "content": body}
    for path, model in _ANSWERS.items():
        content = paths[path]["post"]["responses"]["200"]["content"]
        content["application/json"] = {"schema": found[model, "validation"]}


def _add_refusals(path: str, operations: Any) -> None:
    is_contract = path.startswith("/v5/")
    for operation in operations:
        answers = operation["responses"]
        refusal = _answer("Refused", _refer("Refusal" if is_contract else "OwnRefusal"))
        if not is_contract:
            answers["422"] = refusal
        elif "422" not in answers:
            answers["422"] = _answer("Validation Error", _refer("HTTPValidationError"))
        answers["4XX"] = refusal
        answers["503"] = {**refusal, "description": "Busy; try again later"}


def _answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
