from __future__ import annotations

import ast

import pytest

from buildr_jupyter.analysis.side_effects import file_token
from buildr_jupyter.analysis.statements import Flow


def changed(source: str) -> set[str]:
    """Return the parts of the world that the last statement changes, by their tokens."""
    flow = Flow()
    found = [flow.statement(node, cell=0) for node in ast.parse(source).body]
    return {one.info for one in found[-1].mutates if isinstance(one.info, str) and one.info.startswith("@")}


def test_a_file_is_tracked_under_its_path() -> None:
    assert (file_token("./a.txt"), file_token("a.txt"), file_token(None)) == ("@file:a.txt", "@file:a.txt", "@file:*")


@pytest.mark.parametrize(
    ("source", "token"),
    [
        ("open('a.txt', 'w')", "@file:a.txt"),
        ("from pathlib import Path\nPath('a.txt').write_text('x')", "@file:a.txt"),
        ("import os\nos.remove('./a.txt')", "@file:a.txt"),
        ("open(name, 'w')", "@file:*"),
    ],
)
def test_writing_a_file_changes_it(source: str, token: str) -> None:
    assert token in changed(source)


@pytest.mark.parametrize("source", ["open('a.txt')", "import os\nos.getcwd()", "import json\njson.loads('1')"])
def test_reading_changes_no_file(source: str) -> None:
    assert not any(token.startswith("@file:") for token in changed(source))
