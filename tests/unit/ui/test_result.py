"""A result is shown with what is known of it, as text and as HTML that holds no markup of anybody else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from buildr_jupyter.model.result import BuildResult, RunResult
from buildr_jupyter.ui.result import render_result_html, render_result_text

FULL = BuildResult(
    "ghcr.io/team/app:1", "sha256:aa", "sha256:bb", size_bytes=12_345, unpacked_bytes=1_000_000, duration_s=1.26,
    cached=True, pushed=("a:1", "b:1"), archive=Path("my image.tar"), run=RunResult(3),
)  # fmt: skip


def test_text() -> None:
    assert render_result_text(BuildResult("app:1", duration_s=0.04)).splitlines() == [
        "    image  app:1",
        "     time  0.0 s",
        "   run it  docker run --rm app:1",
    ]
    assert render_result_text(FULL).splitlines() == [
        "    image  ghcr.io/team/app:1",
        " image id  sha256:aa",
        "   digest  sha256:bb",
        "     size  12 kB compressed 1.0 MB unpacked",
        "   pushed  a:1, b:1",
        "  archive  my image.tar",
        "     time  1.3 s, nothing had changed",
        "   run it  docker load -i 'my image.tar' && docker run --rm ghcr.io/team/app:1",
        "exit code  3",
    ]


def test_html_holds_the_same_facts_and_only_its_own_elements() -> None:
    hostile = BuildResult("app:1", "<script>alert(1)</script>\x1b[31m", pushed=('"><img src=x onerror=y>',))
    markup = render_result_html(hostile)
    tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)
            assert {name for name, _ in attrs} <= {"style", "class"}

    Reader().feed(markup)
    assert set(tags) == {"table", "tr", "th", "td", "code"}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;</code>" in markup
    rows = re.findall(r"<th[^>]*>(.*?)</th><td[^>]*><code>(.*?)</code>", render_result_html(FULL))
    assert [name for name, _ in rows] == [line[:9].strip() for line in render_result_text(FULL).splitlines()]
