"""MIME bundles of a run as a notebook's page may show them: HTML that is more than text and tables in a frame."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser

from buildr_jupyter.ui.sanitize import clean_text

__all__ = ["is_plain_html", "render_html", "split_bundle"]

_KINDS = (
    "text/html",
    "text/markdown",
    "text/latex",
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "image/gif",
    "application/json",
    "application/geo+json",
)
"""What is shown; beside them what a front end draws itself from data alone: ``application/vnd.plotly.v1+json``. Neither
scripts nor widgets, whose model stayed in the container, are among them."""
_DRAWN = re.compile(r"application/vnd\.(?!jupyter\.)[\w.+-]*\+json")
_TAGS = re.compile(
    "a|abbr|b|blockquote|br|caption|center|code|col|colgroup|dd|del|div|dl|dt|em|font|h[1-6]|hr|i|ins|kbd|li|mark|ol|p|"
    "pre|q|s|samp|small|span|strong|sub|sup|table|tbody|td|tfoot|th|thead|tr|tt|u|ul|var"
)
_ATTRIBUTES = re.compile(
    "abbr|align|border|class|colspan|dir|height|href|id|lang|rowspan|scope|scoped|span|start|style|title|type|valign|"
    "width|data-.*|aria-.*"
)
_REACHES_OUT = re.compile(r"url\s*\(|@import|expression\s*\(|position\s*:\s*(?:fixed|absolute)|\\", re.IGNORECASE)


class _Look(HTMLParser):
    """Looks for anything that is not text, a table or its own style."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = True
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        scoped = tag == "style" and any(name == "scoped" for name, _ in attrs)
        self._style = scoped
        if not _TAGS.fullmatch(tag) and not scoped:
            self.plain = False
        for name, value in attrs:
            text = value or ""
            link = name == "href" and re.match(r"(?:https?://|#)", text) is None
            if link or not _ATTRIBUTES.fullmatch(name):
                self.plain = False
            if name == "style" and _REACHES_OUT.search(text):
                self.plain = False

    def handle_data(self, data: str) -> None:
        if self._style and _REACHES_OUT.search(data):
            self.plain = False

    def handle_endtag(self, tag: str) -> None:
        self._style = False

    def handle_decl(self, decl: str) -> None:
        self.plain = False

    def handle_pi(self, data: str) -> None:
        self.plain = False


def is_plain_html(markup: str) -> bool:
    """Tell whether HTML is text, tables and their own style alone, as of a DataFrame: it does nothing to a page."""
    look = _Look()
    look.feed(markup)
    look.close()
    return look.plain


def split_bundle(shown: str, text: str) -> tuple[dict[str, object], dict[str, object]]:
    """Return data and metadata of a display; ``shown`` is JSON of MIME type to data, ``text`` the text form.

    HTML that is more than text and tables is isolated: a page shows it in a frame of its own.
    """
    found: dict[str, object] = json.loads(shown)
    data: dict[str, object] = {"text/plain": clean_text(text).rstrip("\n")}
    data |= {kind: value for kind, value in found.items() if kind in _KINDS or _DRAWN.fullmatch(kind)}
    metadata: dict[str, object] = {}
    markup = data.get("text/html")
    if markup is not None and not isinstance(markup, str):
        del data["text/html"]
    elif isinstance(markup, str) and not is_plain_html(markup):
        metadata["text/html"] = {"isolated": True}
    if "image/svg+xml" in data:
        metadata["image/svg+xml"] = {"isolated": True}
    return data, metadata


def render_html(shown: str, text: str) -> str:
    """Return one display as HTML for a place that takes nothing else: what is isolated in a frame without rights."""
    data, metadata = split_bundle(shown, text)
    for kind in ("image/png", "image/jpeg", "image/gif"):
        if isinstance(code := data.get(kind), str) and re.fullmatch(r"[A-Za-z0-9+/=\s]+", code):
            return f'<div><img src="data:{kind};base64,{"".join(code.split())}"></div>'
    markup = data.get("text/html", data.get("image/svg+xml"))
    if isinstance(markup, str) and not metadata:
        return f"<div>{markup}</div>"
    if isinstance(markup, str):
        frame = 'style="width:100%;height:400px;border:0" sandbox="allow-scripts"'
        return f'<iframe {frame} srcdoc="{html.escape(markup)}"></iframe>'
    said = data.get("text/markdown", data["text/plain"])
    return f"<pre>{html.escape(clean_text(str(said)))}</pre>"
