"""The variables that a program cannot do without."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildr_jupyter.export.environment_reads import needed_variables

NEEDED = [
    ("import os\nprint(os.environ['TOKEN'])", ("TOKEN",)),
    ("from os import environ\nprint(environ['A'], environ['B'])", ("A", "B")),
    ("import os\ndef f():\n    return os.environ['X']\nf()", ("X",)),
    ('x = __import__("os").environ["HOST"]', ("HOST",)),
    ("import os\nprint(os.environ['A'] + os.environ['A'])", ("A",)),
    ("import os\nos.environ.setdefault('B', 'A')\nprint(os.environ['A'])", ("A",)),
    ("import os\nos.putenv('A', '1')\nprint(os.environ['A'])", ("A",)),
]
NOT_NEEDED = [
    "import os\nprint(os.environ.get('TOKEN'), os.getenv('B'))",
    "import os\nos.environ['A'] = '1'\nprint(os.environ['A'])",
    "import os\nos.environ.setdefault('A', '1')\nprint(os.environ['A'])",
    "import os\nos.environ.update({'A': '1'}, B='2')\nprint(os.environ['A'], os.environ['B'])",
    "import os\ntry:\n    print(os.environ['A'])\nexcept KeyError:\n    print('none')",
    "import os\nif 'A' in os.environ:\n    print(os.environ['A'])",
    "import os\nprint({'environ': 1}['environ'])",
    "print(1)",
]


@pytest.mark.parametrize(("text", "names"), NEEDED)
def test_what_is_needed(text: str, names: tuple[str, ...]) -> None:
    assert needed_variables(text) == names


@pytest.mark.parametrize("text", NOT_NEEDED)
def test_what_may_be_missing(text: str) -> None:
    assert needed_variables(text) == ()


@pytest.mark.parametrize("text", [*(text for text, _ in NEEDED), *NOT_NEEDED])
def test_the_program_itself_agrees(text: str) -> None:
    """The oracle: without the variables it ends with KeyError exactly where one is needed."""
    clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    clean.pop("HOST", None)
    done = subprocess.run([sys.executable, "-c", text], env=clean, capture_output=True, text=True, check=False)
    assert ("KeyError" in done.stderr) is bool(needed_variables(text))


@given(st.text(max_size=30))
def test_any_name_is_read_as_it_is_written(name: str) -> None:
    assert needed_variables(f"import os\nos.environ[{name!r}]") == (name,)
