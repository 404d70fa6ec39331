"""A Prompt's Version as the app holds it: immutable, and rendered without the collector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from kibitz import _runtime, templates
from kibitz import semconv as sc
from kibitz._calls import Declaration, fail, finish
from kibitz._declared import File, encode, encode_file
from kibitz._scope import enter, leave
from kibitz.client.connection import connection
from kibitz.errors import KibitzError

# Saying the contract's default and saying nothing is the same; providers want nothing said.
_DEFAULTS: dict[str, Any] = {
    "max_tokens": -1,
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
}
_PARAMETERS = (*_DEFAULTS, "stop", "seed", "response_format", "reasoning_effort")

Origin = Literal["collector", "disk", "default"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One Version of a Prompt; every property is a copy of its own."""

    path: str
    version_id: str | None  # None: of a default, which no collector knows
    id: str | None = field(default=None, repr=False)
    origin: Origin = field(default="collector", compare=False)
    content: bytes = field(default=b"{}", repr=False)  # the v5 answer's content, as JSON

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self._content.get("model") or "")

    @property
    def provider(self) -> str:
        """Who serves the model."""
        return str(self._content.get("provider") or "openai")

    @property
    def template(self) -> templates.Template | None:
        """The template as it was written: messages, or one text."""
        template: templates.Template | None = self._content.get("template")
        return template

    @property
    def inputs(self) -> list[str]:
        """The inputs the template asks for by name; those of a Jinja template are not known."""
        return [] if self._is_jinja else templates.find_names(self.template)

    @property
    def parameters(self) -> dict[str, Any]:
        """What was said of temperature and the like, as OpenAI's client takes it."""
        content = self._content
        said = {
            name: content[name]
            for name in _PARAMETERS
            if content.get(name) is not None and content[name] != _DEFAULTS.get(name)
        }
        return said | (content.get("other") or {})

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The tools, linked ones too, as OpenAI's client takes them."""
        content = self._content
        given = [*(content.get("tools") or []), *(content.get("linked_tools") or [])]
        kept = ("name", "description", "parameters", "strict")
        return [
            {
                "type": "function",
                "function": {key: one[key] for key in kept if one.get(key) is not None},
            }
            for one in given
        ]

    @property
    def attributes(self) -> dict[str, Any]:
        """What the Version was given beside what a model is told."""
        attributes: dict[str, Any] = self._content.get("attributes") or {}
        return attributes

    def render(self, inputs: Mapping[str, Any] | None = None, /, **more: Any) -> Any:
        """Return the template filled: messages for a chat, a text for a completion.

        Names that are no Python names go into the mapping. A Jinja template is filled by the
        collector. Raises: KibitzError: an input is missing, or only `kibitz.call` can fill it.
        """
        given = {**(inputs or {}), **more}
        template = self.template
        if template is None:
            return "" if self._content.get("endpoint") == "complete" else []
        if self._is_jinja:
            return self._as_messages(self._ask_to_fill(given))
        called = templates.find_tool_calls(template)
        if called:
            raise KibitzError(
                f"the template of {self.path!r} calls the tool {called[0].name!r}, which the "
                f"collector does: use kibitz.call({self.path!r}, inputs=…)"
            )
        missing = templates.missing_names(template, given)
        if missing:
            raise KibitzError(
                f"the template of {self.path!r} needs inputs that were not given: "
                + ", ".join(missing)
            )
        return self._as_messages(templates.fill(template, given))

    @contextmanager
    def calling(self, inputs: Mapping[str, Any] | None = None, /, **more: Any) -> Iterator[Any]:
        """Render, and make the model calls inside the `with` Logs of this very Version.

        Raises: KibitzError: see `render`.
        """
        given = {**(inputs or {}), **more}
        rendered = self.render(given)
        runtime = _runtime.get()
        file = File(self.path, "prompt")
        static = (
            encode_file(file)
            + b","
            + encode([(sc.PROMPT_NAME, self.path), (sc.PROMPT_VERSION, self.version_id)])
        )
        span = None
        if runtime is not None:
            span = Declaration(_takes_inputs, file, static).open(runtime, (), given)
        if span is None:
            yield rendered
            return
        scope, context = span.scope, span.context
        enter(scope, context)
        try:
            yield rendered
        except BaseException as error:
            leave(scope, context)
            fail(span, error)
            raise
        leave(scope, context)
        finish(span, None)

    @property
    def _content(self) -> dict[str, Any]:
        content: dict[str, Any] = orjson.loads(self.content)
        return content

    @property
    def _is_jinja(self) -> bool:
        return self._content.get("template_language") == "jinja"

    def _as_messages(self, filled: Any) -> Any:
        is_chat = self._content.get("endpoint") != "complete"
        return [{"role": "user", "content": filled}] if is_chat and type(filled) is str else filled

    def _ask_to_fill(self, inputs: dict[str, Any]) -> Any:
        if self.id is None:
            raise KibitzError(f"{self.path!r} is a Jinja template: only a collector can fill it")
        answer = connection().post(
            f"/v5/prompts/{self.id}/populate",
            inputs,
            query={"version_id": self.version_id},
            retries=1,
        )
        return answer["populated_template"]


def _takes_inputs(**inputs: Any) -> None:
    """Stands for the function whose arguments are a Prompt's inputs."""


def prompt_of(answer: Mapping[str, Any], origin: Origin) -> Prompt:
    """Make a Prompt of the collector's answer about a File.

    Raises: KibitzError: the File is none.
    """
    if answer.get("type") != "prompt":
        raise KibitzError(f"{answer.get('path')!r} is a File of type {answer.get('type')}")
    kept = {k: v for k, v in answer.items() if k in _CONTENT and v is not None}
    if isinstance(kept.get("template"), list):  # no provider takes `"name": null`
        kept["template"] = [
            {k: v for k, v in one.items() if v is not None} for one in kept["template"]
        ]
    content = orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)
    return Prompt(answer["path"], answer["version_id"], answer["id"], origin, content)


def default_prompt(path: str, default: Prompt | Mapping[str, Any]) -> Prompt:
    """Make the Prompt to use when there is no other.

    Raises: KibitzError: it is no Prompt, and no mapping like `{"model": …, "template": […]}`.
    """
    if isinstance(default, Prompt):
        return default
    if not isinstance(default, Mapping) or not set(default) <= _CONTENT:
        raise KibitzError(
            f"default= of {path!r} must be a Prompt or a mapping with some of "
            + ", ".join(sorted(_CONTENT))
        )
    content = orjson.dumps(dict(default), option=orjson.OPT_SORT_KEYS)
    return Prompt(path, None, None, "default", content)


_CONTENT = frozenset(
    (
        *_PARAMETERS,
        "model",
        "provider",
        "endpoint",
        "template",
        "template_language",
        "other",
        "tools",
        "linked_tools",
        "attributes",
    )
)
