"""Markdown of models and users to safe HTML."""

from functools import cache

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

_TAGS = {
    *("p", "br", "hr", "em", "strong", "del", "code", "pre", "blockquote", "ul", "ol", "li"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td", "a"),
}
_MAX_CHARACTERS = 50_000  # beyond that, rendering costs more than it helps


def to_html(text: str) -> Markup:
    """Render Markdown; whatever is not on the list of harmless tags is dropped."""
    if len(text) > _MAX_CHARACTERS:
        return Markup("<pre>{}</pre>").format(text)
    rendered = _parser().render(text)
    return Markup(
        nh3.clean(
            rendered,
            tags=_TAGS,
            attributes={"a": {"href"}, "code": {"class"}},
            url_schemes={"http", "https", "mailto"},
            link_rel="noopener noreferrer nofollow",
        )
    )


@cache
def _parser() -> MarkdownIt:
    # HTML in the text is shown, not interpreted; images would be fetched from anywhere.
    return (
        MarkdownIt("commonmark", {"html": False, "linkify": False})
        .enable(["table", "strikethrough"])
        .disable("image")
    )
