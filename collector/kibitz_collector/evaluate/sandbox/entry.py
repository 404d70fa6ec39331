"""Which function of an evaluator's source is called; for all engines, sent to the jail as text."""

import ast
from types import CodeType

FILENAME = "<evaluator>"


def compile_source(source: str) -> tuple[CodeType, str]:
    """Compile the source and name its entry: the last function it defines, taking one argument.

    Raises: SyntaxError, with a line. ValueError, RecursionError, MemoryError: what CPython's own
    compiler says to sources no person wrote.
    """
    tree = ast.parse(source, FILENAME)
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    if not functions:
        raise _refusal("there is no function; write `def evaluator(log): …`", 1)
    entry = functions[-1]
    takes = entry.args
    positional = [*takes.posonlyargs, *takes.args]
    needed = len(positional) - len(takes.defaults)
    required_keywords = sum(default is None for default in takes.kw_defaults)
    if needed > 1 or (not positional and takes.vararg is None) or required_keywords:
        raise _refusal(
            f"{entry.name}() is called with one argument, the Log: write `def {entry.name}(log)`",
            entry.lineno,
        )
    return compile(tree, FILENAME, "exec", dont_inherit=True), entry.name


def _refusal(message: str, line: int) -> SyntaxError:
    return SyntaxError(message, (FILENAME, line, 1, ""))
