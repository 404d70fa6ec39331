"""The source of an evaluator, made to stand alone: it runs in the collector, not in the app."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
import textwrap
import types
from collections.abc import Callable
from typing import Any

from kibitz.errors import ConfigError

_ADVICE = 'define it inside the function, or let the evaluator run in the app: where="app"'


def standalone_source(function: Callable[..., Any]) -> str:
    """Return the function's source without decorators, with the imports of the modules it uses.

    Raises: ConfigError: the source cannot be found, or it needs something that is not in it.
    """
    name = function.__qualname__
    definition = _read(function)
    missing = sorted(_missing(definition, function))
    imports = [(each, _import_of(each, function)) for each in missing]
    unresolved = [each for each, line in imports if line is None]
    if unresolved:
        listed = ", ".join(unresolved)
        raise ConfigError(
            f"evaluator {name!r} uses {listed}, which its own source does not have and the "
            f"collector cannot know: {_ADVICE}"
        )
    lines = [line for _, line in imports if line is not None]
    return "\n".join([*lines, ast.unparse(definition)]) + "\n"


def _read(function: Callable[..., Any]) -> ast.FunctionDef:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError) as error:
        raise ConfigError(
            f"evaluator {function.__qualname__!r} has no source that can be read ({error}): put it "
            'into a file, or let it run in the app: where="app"'
        ) from None
    definition = tree.body[0] if tree.body else None
    if not isinstance(definition, ast.FunctionDef):
        raise ConfigError(
            f"evaluator {function.__qualname__!r} must be a plain `def` (no lambda, no coroutine): "
            'write it so, or let it run in the app: where="app"'
        )
    definition.decorator_list = []
    return _WithoutHints().visit(definition)  # type: ignore[no-any-return]  # it keeps the kind


class _WithoutHints(ast.NodeTransformer):
    """Takes out type hints: their names need not exist in the collector."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.returns = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return ast.copy_location(ast.Assign([node.target], node.value), node)


def _missing(definition: ast.FunctionDef, function: Callable[..., Any]) -> set[str]:
    """Names the function reads from outside itself."""
    source = ast.unparse(definition)
    code = compile(source, "<evaluator>", "exec")
    names: set[str] = set()
    for inner in _codes(code):
        if inner is not code:
            names |= _globals_read(inner)
    closed = set(function.__code__.co_freevars) if hasattr(function, "__code__") else set()
    defaults = {
        node.id
        for each in [*definition.args.defaults, *definition.args.kw_defaults]
        if each is not None
        for node in ast.walk(each)
        if isinstance(node, ast.Name)
    }
    return {
        name
        for name in names | closed | defaults
        if name != definition.name and not hasattr(builtins, name)
    }


def _codes(code: types.CodeType) -> list[types.CodeType]:
    found = [code]
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found += _codes(constant)
    return found


def _globals_read(code: types.CodeType) -> set[str]:
    import dis

    reading = ("LOAD_GLOBAL", "LOAD_NAME")
    return {str(each.argval) for each in dis.get_instructions(code) if each.opname in reading}


def _import_of(name: str, function: Callable[..., Any]) -> str | None:
    """The import line for a name that is a standard module or something out of one."""
    value = _resolve(name, function)
    if isinstance(value, types.ModuleType):
        whole = value.__name__
        if whole.partition(".")[0] not in sys.stdlib_module_names:
            return None
        return f"import {whole}" if whole == name else f"import {whole} as {name}"
    module = getattr(value, "__module__", None)
    own = getattr(value, "__name__", None)
    if isinstance(module, str) and isinstance(own, str):
        root = module.partition(".")[0]
        if root in sys.stdlib_module_names and root not in ("builtins", "__main__"):
            found = sys.modules.get(module)
            if found is not None and getattr(found, own, None) is value:
                public = sys.modules.get(module.removeprefix("_"))  # collections, not _collections
                module = module.removeprefix("_") if hasattr(public, own) else module
                return f"from {module} import {own}" + ("" if own == name else f" as {name}")
    return None


def _resolve(name: str, function: Callable[..., Any]) -> Any:
    code = getattr(function, "__code__", None)
    if code is not None and name in code.co_freevars:
        cells = function.__closure__ or ()
        cell = cells[code.co_freevars.index(name)]
        try:
            return cell.cell_contents
        except ValueError:
            return None
    return getattr(function, "__globals__", {}).get(name)
