"""Renders Jinja templates that anybody may write: no way into Python, bounded time and space.

Jinja's own sandbox closes the first; the second is ours. Every loop step, call, filter and test is
counted; every value a template makes is weighed before the next is made of it; what a template
prints is counted even where it is kept. So nothing that is not in the inputs grows without being
seen. Source: Jinja 3.1, `jinja2.sandbox`, "Security Considerations".
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from typing import Any

from jinja2 import StrictUndefined, TemplateError, meta, nodes, pass_context
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.runtime import Context, LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from kibitz_collector.errors import Invalid

CallTool = Callable[[str, list[Any]], str]
"""Runs the Tool of this name with these values."""
MAX_RENDERED_CHARS = 4_000_000
MAX_CODE_CHARS = 50_000
MAX_STEPS = 1_000_000
MAX_CPU_S = 2.0
_MAX_WEIGHT = 8_000_000  # of one value, about bytes
_MAX_MADE = 4 * _MAX_WEIGHT  # of all values a template makes
_MAX_BITS = 4096  # of a whole number
_ITEM = 16  # what holding anything weighs
_FILTERS = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape",
    "filesizeformat", "first", "float", "groupby", "indent", "int", "items", "join", "last",
    "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace",
    "reverse", "round", "safe", "select", "selectattr", "sort", "string", "striptags",
    "sum", "title", "tojson", "trim", "truncate", "unique", "upper", "urlencode",
    "wordcount",
)  # fmt: skip
_TEXT_METHODS = (
    "capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha",
    "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper", "join",
    "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind",
    "rindex", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith",
    "strip", "swapcase", "title", "upper",
)  # fmt: skip
_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(_TEXT_METHODS),
    dict: frozenset(("get", "items", "keys", "values")),
    list: frozenset(("count", "index")),
    tuple: frozenset(("count", "index")),
    int: frozenset(),
    float: frozenset(("is_integer",)),
}
_OPENING = re.compile(r"\{[{%]")
_LEAVES = (int, float, type(None))


def find_names(text: str) -> list[str]:
    """Return the inputs a template asks for; none when it cannot be read."""
    try:
        tree = _Environment().read(text)
    except (Invalid, TemplateError, RecursionError):
        return []
    return sorted(meta.find_undeclared_variables(tree) - _called_names(tree))


def renderer(inputs: Mapping[str, Any], call_tool: CallTool | None = None) -> Callable[[str], str]:
    """Return what fills inputs into texts, all of them within one budget.

    Functions that a text does not define are Tools. What it returns raises Invalid: the text does
    not parse, needs what is not given, or does what no template may.
    """
    environment = _Environment()
    return lambda text: _render(environment, text, inputs, call_tool)


def _render(
    environment: "_Environment", text: str, inputs: Mapping[str, Any], call_tool: CallTool | None
) -> str:
    missing: list[str] = []
    try:
        tree = environment.read(text)
        functions = _tools(_called_names(tree) - inputs.keys(), call_tool)
        known = {*inputs, *environment.globals, *functions}
        missing = sorted(meta.find_undeclared_variables(tree) - known)
        template = environment.compile_counted(tree)
        pieces, size = list[str](), 0
        for piece in template.generate(**{**functions, **inputs}):
            size += len(piece)
            if size > MAX_RENDERED_CHARS:
                raise Invalid(f"the filled template is longer than {MAX_RENDERED_CHARS} characters")
            pieces.append(piece)
    except UndefinedError as error:
        raise Invalid(
            f"the template needs inputs that were not given: {', '.join(missing) or error.message}"
        ) from None
    except SecurityError as error:
        raise Invalid(f"the template does what no template may: {error}") from None
    except TemplateError as error:
        raise Invalid(f"the template is not Jinja: {error.message}") from None
    except (SyntaxError, MemoryError):  # Python's own compiler, of what Jinja made
        raise Invalid("the template is nested too deeply") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Invalid(f"the template fails on these inputs: {error}") from None
    except RecursionError:
        raise Invalid("the template calls itself without an end") from None
    return "".join(pieces)


def _tools(names: set[str], call_tool: CallTool | None) -> dict[str, Callable[..., str]]:
    if call_tool is None:
        return {}
    return {name: _tool(name, call_tool) for name in names}


def _tool(name: str, call_tool: CallTool) -> Callable[..., str]:
    return lambda *values: call_tool(name, list(values))


def _called_names(tree: nodes.Template) -> set[str]:
    """Return names that are called and that neither the template nor Jinja defines."""
    called = {
        call.node.name for call in tree.find_all(nodes.Call) if isinstance(call.node, nodes.Name)
    }
    return called & meta.find_undeclared_variables(tree) - {"range", "dict", "namespace"}


class _Environment(ImmutableSandboxedEnvironment):
    """One rendering: a sandbox with a budget."""

    intercepted_binops = frozenset(("+", "*", "%", "**"))

    def __init__(self) -> None:
        super().__init__(
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            optimized=False,  # nothing is computed while it is compiled
            finalize=pass_context(lambda _context, value: self._print(value)),
        )
        self._code = 0
        self._steps = 0
        self._made = 0
        self._deadline = time.thread_time() + MAX_CPU_S
        for name in ("lipsum", "cycler", "joiner"):
            del self.globals[name]
        known: dict[str, Any] = dict(self.filters)
        self.filters = {name: self._counted(known[name]) for name in _FILTERS}
        for name, checked in (("join", self._join), ("replace", self._replace)):
            self.filters[name] = self._counted(checked)
        for name in ("indent", "round", "tojson"):
            self.filters[name] = _with_small_numbers(self.filters[name])
        self.filters |= {"_each": self._each, "_made": self._keep, "_concat": self._concat}
        tests: dict[str, Any] = dict(self.tests)
        self.tests = {name: self._counted(test) for name, test in tests.items()}

    def read(self, text: str) -> nodes.Template:
        """Parse a template.

        Raises: Invalid: it is longer than it may be. TemplateError.
        """
        self._code += _code_chars(text)
        if len(text) > MAX_RENDERED_CHARS or self._code > MAX_CODE_CHARS:
            raise Invalid(
                f"a Jinja template has at most {MAX_RENDERED_CHARS} characters, "
                f"{MAX_CODE_CHARS} of them between braces"
            )
        return self.parse(text)

    def compile_counted(self, tree: nodes.Template) -> Any:
        """Return the template with its loops, texts and lists put into the budget."""
        code = self.compile(_Counting(self).visit(tree))
        return self.template_class.from_code(self, code, self.make_globals(None))

    # --- what Jinja asks

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Allow the methods of plain values that make nothing out of nothing."""
        if not super().is_safe_attribute(obj, attr, value):
            return False
        methods = next((_METHODS[kind] for kind in type(obj).__mro__ if kind in _METHODS), None)
        return methods is None or attr in methods

    def wrap_str_format(self, value: Any) -> None:
        """Have `format` refused like all methods that make much of little: it knows widths."""

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Refuse an operation whose result would be too large, before there is one."""
        self._step()
        is_whole = isinstance(left, int) and isinstance(right, int)
        if operator == "%" and isinstance(left, str):
            raise SecurityError("% formats no texts here; use ~")
        if operator == "**" and is_whole and left.bit_length() * abs(right) > _MAX_BITS:
            raise SecurityError("the power is too large a number")
        if operator == "*":
            if is_whole and left.bit_length() + right.bit_length() > _MAX_BITS:
                raise SecurityError("the product is too large a number")
            for sequence, number in ((left, right), (right, left)):
                if isinstance(number, int) and isinstance(sequence, str | list | tuple):
                    self._spend(self._weigh(sequence) * max(0, number))
        if operator == "+" and isinstance(left, str | list | tuple):
            self._spend(self._weigh(left) + self._weigh(right))
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call what the template calls; methods of texts that can explode go another way."""
        self = __self
        self._step()
        text = getattr(__obj, "__self__", None)
        if isinstance(text, str) and __obj.__name__ == "join":
            return self._join(args[0], text)
        if isinstance(text, str) and __obj.__name__ == "replace":
            return self._replace(text, *args[:3])
        if isinstance(__obj, LoopContext):  # the body of a recursive loop
            args = (self._each(args[0]),)
        return self._keep(super().call(__context, __obj, *args, **kwargs))

    # --- the budget

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise SecurityError(f"more than {MAX_STEPS} steps")
        if time.thread_time() > self._deadline:
            raise SecurityError(f"more than {MAX_CPU_S:g} s of work")

    def _spend(self, weight: int) -> None:
        self._made += weight
        if self._made > _MAX_MADE:
            raise SecurityError("it makes too much of too little")

    def _weigh(self, value: Any, *, is_printed: bool = False) -> int:
        """Return about how many bytes a value takes when each of its parts is written out."""
        weight, left = 0, [value]
        while left:
            one = left.pop()
            weight += _ITEM
            if isinstance(one, str):
                weight += len(one)
            elif isinstance(one, list | tuple):
                left.extend(one)
            elif isinstance(one, Mapping):
                left.extend(one.keys())
                left.extend(one.values())
            elif isinstance(one, int):
                weight += one.bit_length() // 3
            elif is_printed and not isinstance(one, _LEAVES):
                raise SecurityError(f"a {type(one).__name__} is not printed")
            if weight + len(left) * _ITEM > _MAX_WEIGHT:
                raise SecurityError("a value is too large")
        return weight

    def _keep(self, value: Any) -> Any:
        """Count a value that the template made; what is made as it is asked for, piece by piece."""
        if isinstance(value, Iterator):
            return self._each(value)
        self._spend(self._weigh(value))
        return value

    def _each(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            self._step()
            yield value

    def _print(self, value: Any) -> str:
        self._step()
        if not isinstance(value, Undefined):  # which says what is missing when it is printed
            self._spend(self._weigh(value, is_printed=True))
        return str(value)

    def _concat(self, values: list[Any]) -> str:
        return "".join([self._print(value) for value in values])

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self._step()
            for argument in args:
                if isinstance(argument, list | tuple | dict):
                    self._weigh(argument)
            return self._keep(function(*args, **kwargs))

        return counted

    def _join(self, values: Iterable[Any], between: str = "", attribute: Any = None) -> str:
        if attribute is not None:
            values = self.filters["map"](self._context(), values, attribute=attribute)
        texts = [self._print(value) for value in values]
        self._spend(len(between) * len(texts))
        return str(between).join(texts)

    def _replace(self, value: Any, old: str, new: str, count: int | None = None) -> str:
        text, old, new = self._print(value), str(old), str(new)
        found = text.count(old) if count is None else min(count, text.count(old))
        self._spend(found * len(new))
        return text.replace(old, new, -1 if count is None else count)

    def _context(self) -> Context:
        return self.context_class(self, {}, None, {})


class _Counting(NodeTransformer):
    """Sends through filters what Jinja's compiler would do in its own way."""

    def __init__(self, environment: _Environment) -> None:
        self._environment = environment

    def visit_For(self, node: nodes.For) -> nodes.For:
        """Count the steps of a loop."""
        self.generic_visit(node)
        node.iter = self._filtered(node.iter, "_each")
        return node

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:
        """Count a text each time it is printed."""
        return nodes.Const(node.data, lineno=node.lineno, environment=self._environment)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        """Join texts within the budget."""
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno, environment=self._environment)
        return self._filtered(parts, "_concat")

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        """Count a slice: it is a copy."""
        self.generic_visit(node)
        return self._filtered(node, "_made") if isinstance(node.arg, nodes.Slice) else node

    def visit_List(self, node: nodes.List) -> nodes.Node:
        """Count a list."""
        self.generic_visit(node)
        return self._filtered(node, "_made")

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        """Count an object."""
        self.generic_visit(node)
        return self._filtered(node, "_made")

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        """Count a tuple, where it is one and not several names."""
        self.generic_visit(node)
        return self._filtered(node, "_made") if node.ctx == "load" else node

    def _filtered(self, node: Any, name: str) -> nodes.Filter:
        return nodes.Filter(
            node, name, [], [], None, None, lineno=node.lineno, environment=self._environment
        )


def _with_small_numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter whose widths and precisions are as small as people write them."""

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        for value in (*args[1:], *kwargs.values()):
            if isinstance(value, int) and abs(value) > 100:
                raise SecurityError(f"{value} is too wide")
            if isinstance(value, str) and len(value) > 100:
                raise SecurityError("the indentation is too wide")
        return function(*args, **kwargs)

    return checked


def _code_chars(text: str) -> int:
    """Return how many characters stand between braces, where Jinja reads code."""
    total, position = 0, 0
    while (opened := _OPENING.search(text, position)) is not None:
        end = text.find("}}" if opened[0] == "{{" else "%}", opened.end())
        position = len(text) if end < 0 else end + 2
        total += position - opened.start()
    return total
