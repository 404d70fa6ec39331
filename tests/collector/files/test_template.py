import pytest

from kibitz_collector.errors import Invalid
from kibitz_collector.files.template import find_inputs, find_tool_calls, populate

CHAT = [
    {"role": "system", "content": "You are {{ name }}."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "{{user.question}} {{name}}"},
            {"type": "image_url", "image_url": {"url": "{{picture}}"}},
        ],
    },
    {"role": "assistant", "tool_calls": []},
]


def test_inputs_are_found_in_order_once() -> None:
    assert find_inputs(CHAT) == ["name", "user.question", "picture"]
    assert find_inputs("{{  a  }} {{b}} { {c} } {{d e}} {{x[0]}}") == ["b", "x[0]"]
    assert find_inputs(None) == []


def test_every_text_of_a_chat_is_filled() -> None:
    inputs = {"name": "Ada", "user.question": "Why?", "picture": "https://a.b/c"}
    assert populate(CHAT, inputs) == [
        {"role": "system", "content": "You are Ada."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Why? Ada"},
                {"type": "image_url", "image_url": {"url": "https://a.b/c"}},
            ],
        },
        {"role": "assistant", "tool_calls": []},
    ]


def test_values_go_in_as_they_are() -> None:
    inputs = {"a": "{{b}} \\1", "b": 2, "c": ["x", True], "d": ""}
    assert populate("{{a}} {{b}} {{c}} [{{d}}]", inputs) == '{{b}} \\1 2 ["x",true] []'


def test_all_missing_inputs_are_named_sorted() -> None:
    with pytest.raises(Invalid, match=r"not given: a, b$"):
        populate("{{b}} {{c}} {{a}}", {"c": 1, "b": None})


def test_tool_calls_are_made_in_place() -> None:
    template = 'Facts: {{ lookup(city, "in \t May") }} {{city}}'
    assert find_inputs(template) == ["city"]
    (call,) = find_tool_calls(template)
    assert (call.name, call.arguments, call.inputs) == ("lookup", ["city", '"in \t May"'], ["city"])
    filled = populate(template, {"city": "Oslo"}, call_tool=lambda call: f"<{call.name}>")
    assert filled == "Facts: <lookup> Oslo"
    assert populate(template, {"city": "Oslo"}) == template.replace("{{city}}", "Oslo")
    with pytest.raises(Invalid, match="city"):
        populate("{{ lookup(city) }}", {}, call_tool=lambda call: "")


def test_jinja_is_filled_in_a_sandbox() -> None:
    template = "{% for x in xs %}{{ x.name | upper }} {% endfor %}{{ last }}"
    assert find_inputs(template, "jinja") == ["last", "xs"]
    assert populate(template, {"xs": [{"name": "a"}], "last": 1}, language="jinja") == "A 1"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ a }} {{ b }}", "not given: a, b"),
        ("{% if %}", "not Jinja"),
        ("{{ ''.__class__.__mro__ }}", "no template may|not given"),
        ("{{ 1 / 0 }}", "fails on these inputs"),
        ("{% for a in range(99999) %}{{ 'x' * 99 }}{% endfor %}", "too much"),
        ("{% for a in range(9999999) %}{% endfor %}", "fails on these inputs"),
    ],
)
def test_a_bad_jinja_template_is_refused(template: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        populate(template, {}, language="jinja")


def test_arguments_of_tool_calls_are_texts_numbers_and_inputs() -> None:
    template = '{{ f("in May, June", 3, -2, x, ",") }}'
    assert find_inputs(template) == ["x"]
    (call,) = find_tool_calls(template)
    assert call.values({"x": [1]}) == ["in May, June", 3, -2, [1], ","]


def test_arguments_in_jinja_are_worked_out_first() -> None:
    template = "{% for n in all %}{{ f(n, n * 2, [n], 'say \"hi\"') }}{% endfor %}"
    assert find_inputs(template, "jinja") == ["all"]
    calls: list[list[object]] = []
    populate(
        template,
        {"all": [1]},
        language="jinja",
        call_tool=lambda call: str(calls.append(call.values({}))),
    )
    assert calls == [[1, 2, "[1]", 'say "hi"']]
