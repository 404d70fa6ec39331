"""Tools that ask another service: an API by GET, Google's search, Pinecone's.

Keys are environment variables of the Tool, sealed where they are stored; `setup_values.api_key` is
read too, because Tools from elsewhere have it there.
Source: SerpApi, Google search API; Pinecone, data plane API 2025-10.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson

from kibitz_collector import providers
from kibitz_collector.access.connections import Keys, find_connection
from kibitz_collector.access.http import Context
from kibitz_collector.access.reach import tool_reach
from kibitz_collector.calls.targets import Target
from kibitz_collector.calls.web import WebError, WebRequest, fetch
from kibitz_collector.errors import Invalid
from kibitz_collector.files.identity import tool_type
from kibitz_collector.files.kinds.tool import PLACEHOLDER, setup_of
from kibitz_collector.files.template import as_text
from kibitz_collector.records import Json

Send = Callable[[WebRequest], str]
_SERPAPI = "https://serpapi.com/search.json"
_PINECONE = "https://api.pinecone.io"
_PINECONE_VERSION = "2025-10"
_SHOWN_RESULTS = 10
_MAX_TOP_K = 100


def ask_web(
    caller: Context,
    target: Target,
    inputs: Json,
    variables: Mapping[str, str],
    keys: Keys | None,
) -> str:
    """Return what the service says, as a text for a model.

    Raises: WebError, ProviderError: it refuses. Invalid: an input is missing.
    """
    reach, timeout_s = tool_reach(caller), caller.settings.tool_timeout_s

    def send(request: WebRequest) -> str:
        return fetch(request, reach, timeout_s)

    setup = setup_of(target.content)
    match tool_type(target.content):
        case "get_api_call":
            return send(_write_get(setup, inputs, variables))
        case "google":
            return _search_google(send, setup, inputs, variables)
        case "pinecone_search":
            search = _Pinecone(caller, send, setup, variables, keys)
            return search.run(_query(inputs), _top_k(setup, inputs))
    raise Invalid(f"the Tool {target.path!r} asks no service")


# --- an API


def _write_get(setup: Json, inputs: Json, variables: Mapping[str, str]) -> WebRequest:
    url, used = _fill_url(str(setup.get("url") or ""), inputs)
    params = setup.get("params")
    fixed = {k: v for k, v in params.items() if v is not None} if isinstance(params, dict) else {}
    query = fixed | {name: value for name, value in inputs.items() if name not in used}
    if query:
        written = urlencode({name: as_text(value) for name, value in query.items()})
        url += ("&" if urlsplit(url).query else "?") + written
    headers = {
        str(name): _fill_variables(as_text(value), variables)
        for name, value in (setup.get("headers") or {}).items()
    }
    key_header = setup.get("api_key_header")
    if key_header:
        headers[str(key_header)] = _key(setup, variables, "API_KEY")
    return WebRequest(url=url, headers=headers)


def _fill_url(url: str, inputs: Json) -> tuple[str, set[str]]:
    names = set(PLACEHOLDER.findall(url))
    missing = sorted(name for name in names if inputs.get(name) is None)
    if missing:
        raise Invalid(f"the Tool needs inputs that were not given: {', '.join(missing)}")
    if any(as_text(inputs[name]) in (".", "..") for name in names):
        raise Invalid("an input in the URL of a Tool may not be . or ..")
    # A slash, a question mark or an @ of an input is no part of the address.
    filled = PLACEHOLDER.sub(lambda match: quote(as_text(inputs[match[1]]), safe=""), url)
    if _host_of(filled) != _host_of(url):
        raise Invalid("an input may not stand in the host of a URL")
    return filled, names


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError as error:
        raise Invalid(f"the URL of the Tool cannot be read: {error}") from None


def _fill_variables(text: str, variables: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda match: variables.get(match[1], match[0]), text)


def _key(setup: Json, variables: Mapping[str, str], name: str) -> str:
    key = variables.get(name) or setup.get("api_key")
    if not isinstance(key, str) or not key:
        raise Invalid(
            f"the Tool has no key: give it the environment variable {name} "
            "(POST /v5/tools/{id}/environment-variables)"
        )
    return key


# --- Google


def _search_google(send: Send, setup: Json, inputs: Json, variables: Mapping[str, str]) -> str:
    query = {
        "engine": setup.get("engine") or "google",
        "q": _query(inputs),
        "api_key": _key(setup, variables, "SERPAPI_API_KEY"),
    }
    if setup.get("num"):
        query["num"] = setup["num"]
    told = _read(send(WebRequest(url=f"{setup.get('url') or _SERPAPI}?{urlencode(query)}")))
    if told.get("error") and not told.get("organic_results"):
        raise WebError(str(told["error"])[:500])
    found = [_answer_box(told), *map(_result, _list(told.get("organic_results"))[:_SHOWN_RESULTS])]
    return "\n\n".join(text for text in found if text) or "nothing was found"


def _answer_box(told: Json) -> str:
    boxes = [told.get("answer_box"), told.get("knowledge_graph")]
    names = ("answer", "result", "snippet", "description")
    texts = (box.get(name) for box in boxes if isinstance(box, dict) for name in names)
    return next((text for text in texts if isinstance(text, str)), "")


def _result(found: Json) -> str:
    lines = (found.get(name) for name in ("title", "snippet", "link"))
    return "\n".join(line for line in lines if isinstance(line, str))


# --- Pinecone


class _Pinecone:
    """One search in one index; the query is embedded here, or by the index itself."""

    def __init__(
        self,
        caller: Context,
        send: Send,
        setup: Json,
        variables: Mapping[str, str],
        keys: Keys | None,
    ) -> None:
        self._caller = caller
        self._send = send
        self._setup = setup
        self._keys = keys
        self._headers = {
            "api-key": _key(setup, variables, "PINECONE_API_KEY"),
            "content-type": "application/json",
            "x-pinecone-api-version": _PINECONE_VERSION,
        }

    def run(self, query: str, top_k: int) -> str:
        """Return the texts that were found, the nearest first."""
        if self._setup.get("embedding_model"):
            found = _list(self._by_vector(query, top_k).get("matches"))
            fields = [one.get("metadata") or {} for one in found]
        else:
            found = _list((self._by_text(query, top_k).get("result") or {}).get("hits"))
            fields = [one.get("fields") or {} for one in found]
        name = str(self._setup.get("text_field") or "text")
        texts = [as_text(one.get(name, one)) for one in fields]
        return "\n\n".join(texts) or "nothing was found"

    def _by_vector(self, query: str, top_k: int) -> Json:
        provider = str(self._setup.get("embedding_provider") or "openai")
        connection = find_connection(self._caller, provider, self._keys)
        vector = providers.embed(str(self._setup["embedding_model"]), query, connection)
        told = {"vector": vector, "topK": top_k, "includeMetadata": True}
        for name in ("namespace", "filter"):
            if self._setup.get(name):
                told[name] = self._setup[name]
        return self._ask("query", told)

    def _by_text(self, query: str, top_k: int) -> Json:
        told: Json = {"inputs": {"text": query}, "top_k": top_k}
        if self._setup.get("filter"):
            told["filter"] = self._setup["filter"]
        namespace = quote(str(self._setup.get("namespace") or "__default__"), safe="")
        return self._ask(f"records/namespaces/{namespace}/search", {"query": told})

    def _ask(self, path: str, told: Json) -> Json:
        request = WebRequest(
            url=f"{self._host()}/{path}",
            method="POST",
            headers=self._headers,
            body=orjson.dumps(told),
        )
        return _read(self._send(request))

    def _host(self) -> str:
        host = self._setup.get("host")
        if not host:
            index = quote(str(self._setup.get("index") or ""), safe="")
            base = str(self._setup.get("url") or _PINECONE).rstrip("/")
            url = f"{base}/indexes/{index}"
            host = _read(self._send(WebRequest(url=url, headers=self._headers))).get("host")
        host = str(host or "").rstrip("/")
        return host if host.startswith(("http://", "https://")) else f"https://{host}"


def _query(inputs: Json) -> str:
    query = inputs.get("query")
    if query is None or query == "":
        raise Invalid("the Tool needs inputs that were not given: query")
    return as_text(query)


def _top_k(setup: Json, inputs: Json) -> int:
    told: Any = inputs.get("top_k") or setup.get("top_k") or 5
    try:
        return max(1, min(int(told), _MAX_TOP_K))
    except (OverflowError, TypeError, ValueError):
        raise Invalid(f"top_k must be a whole number, and is {told!r:.100}") from None


def _read(text: str) -> Json:
    try:
        told = orjson.loads(text)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise WebError("it answered what is not of its API")
    return told


def _list(value: Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
