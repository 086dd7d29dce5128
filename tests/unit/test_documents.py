"""The documents: what they name exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)]
)
TESTS = "\n".join(path.read_text() for path in sorted((ROOT / "tests").rglob("test_*.py")))


def missing_tests(text: str) -> list[str]:
    """Return the tests that a document names and that do not exist."""
    return [name for name in re.findall(r"`(test_\w+)`", text) if f"def {name}(" not in TESTS]


def missing_links(path: Path, text: str) -> list[str]:
    """Return the relative links of a document that lead nowhere."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    return [link for link in links if not (path.parent / link).exists()]


def missing_modules(text: str) -> list[str]:
    """Return the modules that a document names, as ``package/module.py``, and that do not exist."""
    named = re.findall(r"`(?!app/)((?:[a-z_]+/)+[a-z_]+\.(?:py|js))`", text)  # app/ is the image's
    return [name for name in named if not any((ROOT / base / name).exists() for base in (".", "buildr_jupyter"))]


def missing_imports(text: str) -> list[str]:
    """Return our modules that a text imports, also in what stands in quotes, and that do not exist."""
    found = set(re.findall(r"(?:from|import) (buildr_jupyter(?:\.[a-z_]+)*)\b", text))
    return sorted(name for name in found if not _is_module(name))


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_names_exists(path: Path) -> None:
    text = path.read_text()
    assert missing_tests(text) == []
    assert missing_links(path, text) == []
    assert missing_modules(text) == []


def test_what_does_not_exist_is_seen() -> None:
    assert missing_tests("`test_no_such_thing_at_all`") == ["test_no_such_thing_at_all"]
    assert missing_links(ROOT / "README.md", "[a](docs/none.md) [b](https://h.example)") == ["docs/none.md"]
    assert missing_modules("`nowhere/none.py` `cli.py`") == ["nowhere/none.py"]


def test_what_tests_and_notebooks_import_exists() -> None:
    paths = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb"), *DOCUMENTS]
    assert {path.name: found for path in paths if (found := missing_imports(path.read_text()))} == {}
    assert missing_imports("x = 'from buildr_jupyter." + "none.at_all import y'") == ["buildr_jupyter.none.at_all"]
