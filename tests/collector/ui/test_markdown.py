"""Markdown from models and users cannot do anything but look like text."""

from html.parser import HTMLParser

import pytest

from kibitz_collector.ui.markdown import to_html

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "![i](javascript:alert(1))",
    "<svg onload=alert(1)>",
    "`<script>`",
    '[a](https://x.example/" onclick="alert(1))',
    "<a href='vbscript:x'>y</a>",
]


class Seen(HTMLParser):
    """Collects what a browser would take for tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_harmless(text: str) -> None:
    seen = Seen()
    seen.feed(to_html(text))
    assert seen.tags <= {"p", "a", "code"}
    for name, value in seen.attributes:
        assert name in {"href", "rel"}
        assert name == "rel" or (value or "").startswith(("http://", "https://", "mailto:"))


def test_usual_markdown_is_rendered() -> None:
    html = to_html("**bold** and `code`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    assert "<strong>bold</strong>" in html
    assert "<table>" in html


def test_very_long_text_is_shown_as_it_is() -> None:
    assert to_html("*" * 60_000).startswith("<pre>")
