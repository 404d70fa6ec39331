"""Jinja templates in the sandbox: what they can do, and what nobody can do with them."""

import subprocess
import sys
import textwrap
from typing import Any

import pytest

from kibitz_collector.errors import Invalid
from kibitz_collector.files.jinja import find_names, renderer

INPUTS: dict[str, Any] = {
    "name": "Ada",
    "items": [{"name": "tea", "price": 3}, {"name": "cake", "price": 5}],
    "facts": {"city": "Oslo"},
    "big": "x" * 3_000_000,
    "two": [1, 2],
}
LOOP = "{%% set n = namespace(x=%s) %%}{%% for i in range(64) %%}%s{%% endfor %%}"

ESCAPES = {
    "class of a text": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "class by subscript": "{{ name['__class__'] }}",
    "class by filter": "{{ name | attr('__class__') }}",
    "globals of self": "{{ self.__init__.__globals__ }}",
    "globals of range": "{{ range.__globals__ }}",
    "globals of namespace": "{{ namespace.__init__.__globals__ }}",
    "globals of a macro": "{% macro f() %}{% endmacro %}{{ f.__globals__ }}",
    "code of a macro": "{% macro f() %}{% endmacro %}{{ f._func.__code__ }}",
    "environment of loop": "{% for a in two %}{{ loop._undefined.__globals__ }}{% endfor %}",
    "format reads attributes": "{{ '{0.__class__}'.format(name) }}",
    "format_map reads attributes": "{{ '{a.__class__}'.format_map(facts) }}",
    "format by map": "{{ ['{0.__class__}'] | map('format', name) | list }}",
    "map reads attributes": "{{ two | map(attribute='__class__') | list }}",
    "sort reads attributes": "{{ two | sort(attribute='__class__') }}",
    "select reads attributes": "{{ two | selectattr('__class__') | list }}",
    "another file": "{% include '/etc/passwd' %}",
    "a module": "{% import 'os' as os %}{{ os }}",
    "a parent": "{% extends 'base' %}",
    "changing an input": "{{ two.append(3) }}",
    "clearing an input": "{{ facts.clear() }}",
    "printing a function": "{{ range }}",
    "printing a hidden function": "{{ [namespace] }}",
}
EXPLOSIONS = {
    "nested loops": "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
    "a huge range": "{% for a in range(10**9) %}{% endfor %}",
    "a long text": "{{ 'x' * 10**9 }}",
    "a long list": "{{ ([1] * 10**9) | length }}",
    "a large number": "{{ 2 ** (10**9) }}",
    "a number that grows": LOOP % ("9", "{% set n.x = n.x * n.x %}"),
    "a text added to itself": LOOP % ("'ab'", "{% set n.x = n.x + n.x %}"),
    "a text joined to itself": LOOP % ("'ab'", "{% set n.x = n.x ~ n.x %}"),
    "a list added to itself": LOOP % ("[1]", "{% set n.x = n.x + n.x %}"),
    "a list of itself": LOOP % ("[1]", "{% set n.x = [n.x, n.x] %}") + "{{ n.x }}",
    "an object of itself": LOOP % ("[1]", "{% set n.x = {'a': n.x, 'b': n.x} %}") + "{{ n.x }}",
    "a tuple of itself": LOOP % ("[1]", "{% set n.x = (n.x, n.x) %}") + "{{ n.x == n.x }}",
    "a replaced text": LOOP % ("'ab'", "{% set n.x = n.x | replace('', n.x) %}"),
    "a text by its own method": LOOP % ("'ab'", "{% set n.x = n.x.replace('', n.x) %}"),
    "joined by itself": LOOP % ("'ab'", "{% set n.x = [n.x, n.x] | join(n.x) %}"),
    "joined by its own method": LOOP % ("'ab'", "{% set n.x = n.x.join([n.x, n.x, n.x]) %}"),
    "slices kept": "{% set a = big[1:] %}" * 40,
    "a wide text": "{{ 'x'.ljust(10**9) }}",
    "a centered text": "{{ 'x' | center(10**9) }}",
    "a width in a format": "{{ '{:1000000000d}'.format(1) }}",
    "a width in a percent": "{{ '%1000000000d' % 1 }}",
    "an indentation": "{{ 'a\nb' | indent(10**9) }}",
    "an indented object": "{{ facts | tojson(indent=10**9) }}",
    "a precision": "{{ 1.5 | round(10**9, 'ceil') }}",
    "bytes of a number": "{{ (1).to_bytes(10**9) }}",
    "lorem ipsum": "{{ lipsum(n=10**9) }}",
    "tests in a filter": "{{ range(100000) | select('in', range(100000) | list) | list }}",
    "filters in a loop": "{% for i in range(99999) %}{{ range(99999) | list | max }}{% endfor %}",
    "a macro that calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "a macro that doubles": "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}"
    "{% endmacro %}{{ f(60) }}",
    "a recursive loop": "{% for x in range(99999) recursive %}{% if loop.depth < 4 %}"
    "{{ loop(range(99999)) }}{% endif %}{% endfor %}",
    "prints kept in a block": "{% set a %}"
    "{% for i in range(9999) %}{{ big }}{% endfor %}{% endset %}",
    "prints kept in a filter": "{% filter upper %}{% for i in range(99999) %}{{ big }}{% endfor %}"
    "{% endfilter %}",
    "text kept in a block": "{% set a %}{% for i in range(99999) %}" + "y" * 99999 + "{% endfor %}"
    "{% endset %}",
    "brackets": "{{" + "(" * 9000 + "1" + ")" * 9000 + "}}",
    "blocks in blocks": "{% for a in two %}" * 30 + "{% endfor %}" * 30,
    "code without an end": "{{" * 100_000,
    "too much code": "{{ name }}" * 60_000,
}

SLOW = {
    "nested loops",
    "tests in a filter",
    "filters in a loop",
    "a macro that doubles",
    "a recursive loop",
}


def render(text: str, **inputs: Any) -> str:
    return renderer(inputs or INPUTS)(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dear {{ name }}!\n", "Dear Ada!\n"),
        ("{% for i in items %}{{ loop.index }}. {{ i.name }}\n{% endfor %}", "1. tea\n2. cake\n"),
        ("{{ items | map(attribute='price') | sum }}", "8"),
        ("{{ items | selectattr('price', 'gt', 4) | map(attribute='name') | join(', ') }}", "cake"),
        ("{% if facts.city == 'Oslo' %}cold{% else %}warm{% endif %}", "cold"),
        ("{{ facts | tojson }} {{ facts.keys() | list }}", "{\"city\": \"Oslo\"} ['city']"),
        ("{{ name.upper() ~ '-' ~ name[:2] ~ name.replace('A', 'E') }}", "ADA-AdEda"),
        ("{{ ', '.join(['a', 'b']) }} {{ 'a\nb' | indent(2) }}", "a, b a\n  b"),
        ("{% macro hi(who) %}hi {{ who }}{% endmacro %}{{ hi(name) }}", "hi Ada"),
        ("{% set n = namespace(sum=0) %}{% for i in items %}{% set n.sum = n.sum + i.price %}"
         "{% endfor %}{{ n.sum }}", "8"),
        ("{{ missing | default('none') }} {{ 7 // 2 }} {{ 7 % 4 }} {{ 2 ** 10 }}", "none 3 3 1024"),
        ("{% set block %}a {{ name }}{% endset %}{{ block }} {{ (1, 2) }}", "a Ada (1, 2)"),
        ("{% for k, v in facts | dictsort %}{{ k }}={{ v }}{% endfor %}", "city=Oslo"),
    ],
)  # fmt: skip
def test_templates_do_what_jinja_does(text: str, expected: str) -> None:
    assert render(text) == expected


@pytest.mark.parametrize("attack", ESCAPES)
def test_nothing_of_python_is_reached(attack: str) -> None:
    with pytest.raises(Invalid) as caught:
        render(ESCAPES[attack])
    assert "0x" not in caught.value.message


@pytest.mark.parametrize("attack", EXPLOSIONS)
def test_time_and_space_are_bounded(attack: str) -> None:
    with pytest.raises(Invalid):
        render(EXPLOSIONS[attack])


def test_no_attack_takes_much_memory() -> None:
    """Each in one process that may have half a gigabyte more than it has."""
    program = """
        import resource, sys
        from tests.collector.files.test_jinja import EXPLOSIONS, SLOW, render
        from kibitz_collector.errors import Invalid
        held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + 2**29, held + 2**29))
        for name in EXPLOSIONS.keys() - SLOW:
            try:
                render(EXPLOSIONS[name])
            except Invalid as error:
                if "nested too deeply" in error.message and name != "blocks in blocks":
                    sys.exit(f"{name} ran out of memory")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr


def test_texts_of_one_template_share_one_budget() -> None:
    fill = renderer(INPUTS)
    fill("{{ big }}")
    with pytest.raises(Invalid, match="too much"):
        _ = [fill("{{ big }}") for _ in range(20)]


def test_functions_that_are_not_defined_are_tools() -> None:
    text = "{% for c in cities %}{{ weather(c, 3, 'en') }} {% endfor %}{{ lower(1) }}"
    assert find_names(text) == ["cities"]
    fill = renderer({"cities": ["Oslo", "Rom"]}, lambda name, values: f"{name}{values}")
    assert fill(text) == "weather['Oslo', 3, 'en'] weather['Rom', 3, 'en'] lower[1]"
    with pytest.raises(Invalid, match="not given: cities, lower, weather"):
        renderer({})(text)


def test_template_that_cannot_be_read_asks_for_nothing() -> None:
    assert find_names("{% if %}") == find_names("{{" + "(" * 9000) == []
