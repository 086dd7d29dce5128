"""Bundles of a run as a page may show them."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from buildr_jupyter.ui.mime import is_plain_html, render_html, split_bundle


def test_a_table_of_pandas_stands_in_the_page() -> None:
    markup = pd.DataFrame({"a": [1, 2]})._repr_html_()
    assert is_plain_html(markup)
    data, metadata = split_bundle(json.dumps({"text/html": markup}), "   a\n0  1\n")
    assert data == {"text/plain": "   a\n0  1", "text/html": markup}
    assert metadata == {}


@pytest.mark.parametrize(
    "markup",
    [
        "<script>1</script>", "<b onclick=x>", "<img src=x>", "<iframe></iframe>", "<style>b {}</style>",
        "<style scoped>@import 'x'</style>", '<p style="background:url(x)">', '<a href="javascript:1">', "<!DOCTYPE html>",
        '<p style="position: fixed">', "<form>", "<svg>", "<?php ?>", "<base href=x>", "<button>",
    ],
)  # fmt: skip
def test_all_other_html_is_isolated(markup: str) -> None:
    assert not is_plain_html(markup)
    assert split_bundle(json.dumps({"text/html": markup}), "x")[1] == {"text/html": {"isolated": True}}
    assert "sandbox" in render_html(json.dumps({"text/html": markup}), "x")


def test_scripts_and_widgets_are_left_to_the_text() -> None:
    kinds = ("application/javascript", "application/vnd.jupyter.widget-view+json", "text/html ", "x")
    assert split_bundle(json.dumps(dict.fromkeys(kinds, "y")), "\x1b[1mx\n") == ({"text/plain": "x"}, {})
    plotly = {"application/vnd.plotly.v1+json": {"data": []}}
    assert split_bundle(json.dumps(plotly), "x")[0] == {"text/plain": "x", **plotly}


def test_a_place_that_takes_html_alone() -> None:
    assert render_html('{"image/png": "cG5n"}', "x") == '<div><img src="data:image/png;base64,cG5n"></div>'
    assert render_html('{"image/png": "\\"onerror"}', "<x>") == "<pre>&lt;x&gt;</pre>"
    assert render_html('{"text/markdown": "**b** <i>"}', "x") == "<pre>**b** &lt;i&gt;</pre>"
    assert render_html('{"text/html": "<b>b</b>"}', "x") == "<div><b>b</b></div>"
    assert render_html('{"text/html": 3}', "x") == "<pre>x</pre>"
