"""Makes the contract's answers from Files at a Version.

Versions also come from spans, of whatever form: a part that the contract has no form for is left
out of the answer, never the whole.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from kibitz_collector.api.v5.contract import to_time
from kibitz_collector.api.v5.models.files import (
    AgentResponse,
    DatapointResponse,
    DatasetResponse,
    EvaluatorResponse,
    FileResponse,
    FlowResponse,
    LinkedToolResponse,
    MonitoringEvaluatorResponse,
    PromptResponse,
    ToolResponse,
    VersionDeploymentResponse,
    VersionIdResponse,
)
from kibitz_collector.api.v5.models.kernels import EvaluatorSpec, ModelSettings
from kibitz_collector.api.v5.models.shared import (
    EnvironmentResponse,
    EvaluatorAggregate,
    ToolFunction,
    UserResponse,
    is_deep,
)
from kibitz_collector.errors import NotFound
from kibitz_collector.files.identity import tool_type
from kibitz_collector.files.ids import hashed_id
from kibitz_collector.files.promptfile import serialize
from kibitz_collector.files.template import as_text, find_inputs
from kibitz_collector.records import Json
from kibitz_collector.store import Session
from kibitz_collector.store.queries.datapoints import DatapointView
from kibitz_collector.store.queries.described import AttachedEvaluator, Described, describe
from kibitz_collector.store.queries.environments import EnvironmentView
from kibitz_collector.store.queries.files import get_files, get_versions
from kibitz_collector.store.queries.judged import AggregateView

_MODEL_FIELDS: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(cast(Any, info.annotation))
    for name, info in ModelSettings.model_fields.items()
}
_FUNCTIONS: TypeAdapter[list[ToolFunction]] = TypeAdapter(list[ToolFunction])


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What an answer shows only when it is asked for."""

    with_file_text: bool = False
    datapoints: Mapping[str, Sequence[DatapointView]] = field(default_factory=dict)  # by version
    aggregates: Mapping[str, Sequence[AggregateView]] | None = None  # by version


NO_EXTRAS = Extras()


def answer_files(
    session: Session,
    workspace_id: int,
    wanted: Sequence[tuple[str, str]],
    extras: Extras = NO_EXTRAS,
) -> list[FileResponse]:
    """Return the answers for Files at Versions, given as (file id, version id)."""
    described = describe(session, workspace_id, wanted)
    linked = _linked_tools(session, workspace_id, described)
    return [_answer(one, linked, extras) for one in described]


def answer_file(
    session: Session,
    workspace_id: int,
    file_id: str,
    version_id: str,
    extras: Extras = NO_EXTRAS,
) -> FileResponse:
    """Return the answer for one File at a Version.

    Raises: NotFound: it was deleted at this moment.
    """
    for answer in answer_files(session, workspace_id, [(file_id, version_id)], extras):
        return answer
    raise NotFound(f"no File {file_id!r} at Version {version_id!r}")


def answer_environment(environment: EnvironmentView) -> EnvironmentResponse:
    """Return the answer for an environment."""
    return EnvironmentResponse(
        id=environment.id,
        name=environment.name,
        created_at=to_time(environment.created_ns),
        tag="default" if environment.is_default else "other",
    )


def answer_user(made_by: str | None, name: str | None) -> UserResponse | None:
    """Return the answer for who made something: a key, or whom an import named."""
    if made_by is None or name is None:
        return None
    user_id = made_by if made_by.startswith("usr_") else hashed_id("usr_", made_by)
    is_address = "@" in name
    return UserResponse(
        id=user_id,
        email_address=name if is_address else "",
        full_name=None if is_address or name == made_by else name,
    )


def answer_datapoint(datapoint: DatapointView) -> DatapointResponse:
    """Return the answer for a datapoint."""
    return DatapointResponse(id=datapoint.id, **{"inputs": {}, **datapoint.content})


def datapoint_content(datapoint: Json) -> Json:
    """Return a datapoint as it is stored: inputs are texts."""
    inputs = {k: as_text(v) for k, v in (datapoint.get("inputs") or {}).items() if v is not None}
    content = {name: datapoint.get(name) for name in ("messages", "target")}
    return {"inputs": inputs} | {k: v for k, v in content.items() if v is not None}


def _answer(one: Described, linked: Mapping[str, Json], extras: Extras) -> FileResponse:
    content = one.version.content
    match one.file.kind:
        case "prompt":
            ids = content.get("linked_tools") or []
            return PromptResponse(
                **_counted(one, extras, find_inputs(*_template(content))),
                **_settings(content),
                tools=_functions(content.get("tools")),
                linked_tools=[LinkedToolResponse(**linked[i]) for i in ids if i in linked],
                raw_file_content=serialize(content) if extras.with_file_text else None,
            )
        case "agent":
            return AgentResponse(
                **_counted(one, extras, find_inputs(*_template(content))),
                **_settings(content),
                tools=_agent_tools(content.get("tools")),
                max_iterations=content.get("max_iterations"),
                status=cast(Any, one.version.status),
                raw_file_content=serialize(content) if extras.with_file_text else None,
            )
        case "tool":
            return _tool(one, extras)
        case "evaluator":
            spec = _spec(content)
            return EvaluatorResponse(
                **_counted(one, extras, _spec_inputs(spec)),
                spec=spec,
                attributes=spec.attributes,
            )
        case "flow":
            return FlowResponse(
                **_logged(one, extras),
                attributes=_object(content.get("attributes")) or {},
            )
        case "dataset":
            return _dataset(one, extras)


def _common(one: Described) -> dict[str, Any]:
    file, version = one.file, one.version
    return {
        "path": file.path,
        "id": file.id,
        "directory_id": one.directory_id,
        "name": file.name,
        "description": file.description,
        "tags": file.tags,
        "readme": file.readme,
        "version_id": version.id,
        "version_name": version.name,
        "version_description": version.description,
        "environments": [answer_environment(e) for e in one.environments],
        "created_at": to_time(version.created_ns),
        "created_by": answer_user(version.created_by, one.maker),
        "updated_at": to_time(max(version.created_ns, file.updated_ns)),
        "last_used_at": to_time(one.last_used_ns),
    }


def _logged(one: Described, extras: Extras) -> dict[str, Any]:
    aggregates = None
    if extras.aggregates is not None:
        aggregates = [_aggregate(view) for view in extras.aggregates.get(one.version.id, [])]
    return _common(one) | {
        "version_logs_count": one.version_log_count,
        "evaluators": [_monitor(attached) for attached in one.monitors],
        "evaluator_aggregates": aggregates,
    }


def _counted(one: Described, extras: Extras, inputs: Iterable[str]) -> dict[str, Any]:
    return _logged(one, extras) | {
        "total_logs_count": one.file_log_count,
        "inputs": [{"name": name} for name in inputs],
    }


def _tool(one: Described, extras: Extras) -> ToolResponse:
    content = one.version.content
    functions = _functions([content["function"]] if content.get("function") else None) or []
    function = functions[0] if functions else None
    names = list(_properties(function))
    return ToolResponse(
        **_counted(one, extras, names),
        function=function,
        source_code=_text(content.get("source_code")),
        setup_values=_object(content.get("setup_values")),
        attributes=_object(content.get("attributes")),
        tool_type=tool_type(content),
        signature=None if function is None else f"{function.name}({', '.join(names)})",
    )


def _dataset(one: Described, extras: Extras) -> DatasetResponse:
    datapoints = extras.datapoints.get(one.version.id)
    return DatasetResponse(
        **_common(one),
        datapoints_count=one.datapoint_count,
        datapoints=None if datapoints is None else [answer_datapoint(d) for d in datapoints],
        attributes=_object(one.version.content.get("attributes")),
    )


def _monitor(attached: AttachedEvaluator) -> MonitoringEvaluatorResponse:
    evaluator = _answer(attached.evaluator, {}, NO_EXTRAS)
    reference: VersionDeploymentResponse | VersionIdResponse
    if attached.environment is None:
        reference = VersionIdResponse(version=evaluator)
    else:
        reference = VersionDeploymentResponse(
            file=evaluator, environment=answer_environment(attached.environment)
        )
    return MonitoringEvaluatorResponse(
        version_reference=reference,
        version=evaluator if isinstance(evaluator, EvaluatorResponse) else None,
        state="active" if attached.is_active else "inactive",
        created_at=to_time(attached.created_ns),
        updated_at=to_time(attached.updated_ns),
    )


def _aggregate(view: AggregateView) -> EvaluatorAggregate:
    return EvaluatorAggregate(
        value=view.value,
        evaluator_id=view.evaluator_id,
        evaluator_version_id=view.evaluator_version_id,
        created_at=to_time(view.first_ns),
        updated_at=to_time(view.last_ns),
    )


def _linked_tools(
    session: Session, workspace_id: int, described: Sequence[Described]
) -> dict[str, Json]:
    """Return the Tools that Prompts are linked to, by the id they are linked with."""
    ids = {
        str(one)
        for described_one in described
        for one in described_one.version.content.get("linked_tools") or []
    }
    if not ids:
        return {}
    files = get_files(session, workspace_id, ids)
    used = {id_: file.version_id for id_, file in files.items() if file.version_id}
    versions = get_versions(session, workspace_id, [*(ids - files.keys()), *used.values()])
    tools = {}
    for id_ in ids:
        version = versions.get(used.get(id_, id_))
        functions = version and _functions([version.content.get("function")])
        if version and functions:
            ids_of_it = {"id": version.file_id, "version_id": version.id}
            tools[id_] = functions[0].model_dump() | ids_of_it
    return tools


# --- contents of whatever form


def _settings(content: Json) -> Json:
    """Return the settings of a model that have the contract's form."""
    settings: Json = {"model": str(content.get("model") or "")}
    for name, adapter in _MODEL_FIELDS.items():
        if name == "model" or content.get(name) is None:
            continue
        try:
            settings[name] = adapter.validate_python(content[name])
        except ValidationError:
            continue
    return settings


def _template(content: Json) -> tuple[Any, str | None]:
    settings = content.get("template")
    is_known = isinstance(settings, str | list)
    return (settings if is_known else None), _text(content.get("template_language"))


def _functions(tools: Any) -> list[ToolFunction] | None:
    """Read functions, flat or in the form that OpenAI takes them in."""
    if not isinstance(tools, list):
        return None
    functions = []
    for tool in tools:
        inner = tool.get("function") if isinstance(tool, dict) else None
        given = inner if isinstance(inner, dict) else tool
        if isinstance(given, dict) and isinstance(given.get("name"), str):
            parameters = given.get("parameters") or given.get("input_schema")
            functions.append(
                ToolFunction(
                    name=given["name"],
                    description=str(given.get("description") or ""),
                    strict=given.get("strict") is True,
                    parameters=_object(parameters),
                )
            )
    return functions


def _agent_tools(tools: Any) -> list[Any]:
    if not isinstance(tools, list):
        return []
    known = [t for t in tools if isinstance(t, dict) and t.get("type") in ("file", "inline")]
    others = _functions([tool for tool in tools if tool not in known]) or []
    return [*known, *({"type": "inline", "json_schema": one.model_dump()} for one in others)]


def _spec(content: Json) -> EvaluatorSpec:
    said = dict(content)
    if said.get("evaluator_type") in (None, "code"):
        said |= {"evaluator_type": "python", "code": said.get("code") or ""}
    said.setdefault("return_type", "boolean")
    if isinstance(said.get("options"), list):
        said["options"] = [o if isinstance(o, dict) else {"name": str(o)} for o in said["options"]]
    try:
        return EvaluatorSpec.model_validate(said)
    except ValidationError:
        kept = {name: said[name] for name in ("evaluator_type", "return_type", "code")}
        return EvaluatorSpec.model_construct(arguments_type="target_free", **kept)


def _spec_inputs(spec: EvaluatorSpec) -> list[str]:
    if spec.prompt is None:
        return []
    template = spec.prompt.model_dump(exclude_none=True).get("template")
    return find_inputs(template, spec.prompt.template_language)


def _properties(function: ToolFunction | None) -> Json:
    properties = (function.parameters or {}).get("properties") if function else None
    return properties if isinstance(properties, dict) else {}


def _object(value: Any) -> Json | None:
    return value if isinstance(value, dict) and not is_deep(value) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
