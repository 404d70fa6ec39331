"""SQL expressions the two databases spell differently; values are always parameters."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Text, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from kibitz_collector.query.globs import sql_like, sqlite_glob
from kibitz_collector.query.text import Sought


class _Predicate(FunctionElement[bool]):
    """A predicate whose compilers below choose among its arguments."""

    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        """Stay as it is: SQLite knows no booleans, but `… IN (…) = 1` would use no index."""
        return self


class Glob(_Predicate):
    """Whether a column matches a pattern whose only wildcard is `*`, case-sensitively."""

    name = "kibitz_glob"
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any], pattern: str) -> None:
        super().__init__(column, _text(sqlite_glob(pattern)), _text(sql_like(pattern)))


class Contains(_Predicate):
    """Whether a column's text holds another, case-sensitively."""

    name = "kibitz_contains"
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any], part: str) -> None:
        super().__init__(column, _text(part))


class JsonListHas(_Predicate):
    """Whether a column holding a JSON list of texts has this one."""

    name = "kibitz_json_list_has"
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any], item: str) -> None:
        super().__init__(column, _text(item))


class TextMatch(_Predicate):
    """Whether the text of the Log with this `seq` has all that is sought."""

    name = "kibitz_text_match"
    inherit_cache = True

    def __init__(self, seq: ColumnElement[Any], wanted: Sequence[Sought]) -> None:
        super().__init__(seq, _text(fts_query(wanted)), _text(ts_query(wanted)))


class TextFound(_Predicate):
    """Whether a row of the text index itself has all that is sought."""

    name = "kibitz_text_found"
    inherit_cache = True

    def __init__(self, wanted: Sequence[Sought]) -> None:
        super().__init__(_text(fts_query(wanted)), _text(ts_query(wanted)))


def fts_query(wanted: Sequence[Sought]) -> str:
    """Write what is sought for FTS5; tokens are letters and digits, nothing needs escaping."""
    return " AND ".join(
        f'"{" ".join(one.tokens)}"' + ("*" if one.is_prefix else "") for one in wanted
    )


def ts_query(wanted: Sequence[Sought]) -> str:
    """Write what is sought as a tsquery."""
    phrases = []
    for one in wanted:
        lexemes = [f"'{token}'" for token in one.tokens]
        if one.is_prefix:
            lexemes[-1] += ":*"
        phrases.append(f"({' <-> '.join(lexemes)})")
    return " & ".join(phrases)


def _text(value: str) -> ColumnElement[str]:
    return bindparam(None, value, type_=Text())


def _arguments(element: _Predicate, compiler: Any, options: dict[str, Any]) -> list[Any]:
    return [lambda clause=clause: compiler.process(clause, **options) for clause in element.clauses]


@compiles(Glob)
def _glob(element: Glob, compiler: Any, **options: Any) -> str:
    column, glob, _like = _arguments(element, compiler, options)
    return f"({column()} GLOB {glob()})"


@compiles(Glob, "postgresql")
def _glob_postgresql(element: Glob, compiler: Any, **options: Any) -> str:
    column, _glob, like = _arguments(element, compiler, options)
    return f"({column()} LIKE {like()} ESCAPE '\\')"


@compiles(Contains)
def _contains(element: Contains, compiler: Any, **options: Any) -> str:
    column, part = _arguments(element, compiler, options)
    return f"(instr({column()}, {part()}) > 0)"


@compiles(Contains, "postgresql")
def _contains_postgresql(element: Contains, compiler: Any, **options: Any) -> str:
    column, part = _arguments(element, compiler, options)
    return f"(strpos({column()}, {part()}) > 0)"


@compiles(JsonListHas)
def _list_has(element: JsonListHas, compiler: Any, **options: Any) -> str:
    column, item = _arguments(element, compiler, options)
    return f"EXISTS (SELECT 1 FROM json_each({column()}) AS item WHERE item.value = {item()})"


@compiles(JsonListHas, "postgresql")
def _list_has_postgresql(element: JsonListHas, compiler: Any, **options: Any) -> str:
    column, item = _arguments(element, compiler, options)
    return f"jsonb_exists(CAST({column()} AS jsonb), {item()})"


@compiles(TextMatch)
def _text_match(element: TextMatch, compiler: Any, **options: Any) -> str:
    seq, fts, _ts = _arguments(element, compiler, options)
    return f"({seq()} IN (SELECT rowid FROM log_text WHERE log_text MATCH {fts()}))"


@compiles(TextMatch, "postgresql")
def _text_match_postgresql(element: TextMatch, compiler: Any, **options: Any) -> str:
    seq, _fts, ts = _arguments(element, compiler, options)
    found = f"SELECT log_text.seq FROM log_text WHERE tokens @@ CAST({ts()} AS tsquery)"
    return f"({seq()} IN ({found}))"


@compiles(TextFound)
def _text_found(element: TextFound, compiler: Any, **options: Any) -> str:
    fts, _ts = _arguments(element, compiler, options)
    return f"log_text MATCH {fts()}"


@compiles(TextFound, "postgresql")
def _text_found_postgresql(element: TextFound, compiler: Any, **options: Any) -> str:
    _fts, ts = _arguments(element, compiler, options)
    return f"log_text.tokens @@ CAST({ts()} AS tsquery)"
