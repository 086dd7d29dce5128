"""The floors of the house: what may import what, read from the files themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "buildr_jupyter"
FLOORS = {
    "ground": {
        "errors", "events", "model", "plan", "reference", "option", "parsing", "settings", "credentials", "engine", "sockets", "leaks", "leash", "limits", "lines", "masking", "ownership", "confined", "notebook_line", "requirement_text", "dockerfile_parse", "archives", "leak_rules", "known_values", "login_files", "pickled", "memory", "workers", "__init__",
    },
    "rooms": {
        "cell", "requirements", "installed", "indexes", "wheels", "guard", "context", "install", "standin", "builder", "oci",
        "runner",
    },
    "hall": {"assembly", "leaving", "proof", "pipeline", "background", "kept"},
    "windows": {"display", "widgets", "pane", "terminal"},
    "doors": {
        "doors", "failures", "magics", "panes", "cli", "containerize", "doctor", "abilities", "startup", "inspection", "upkeep", "__main__",
    },
}  # fmt: skip
ORDER = ["ground", "rooms", "hall", "windows", "doors"]
BESIDE = {
    ("requirements", "installed"), ("requirements", "wheels"), ("wheels", "installed"), ("runner", "builder"),
    ("builder", "oci"),
}  # fmt: skip
"""Rooms that stand on another: requirements on what is installed, the docker builder on the registry's answers."""
SEED_NAMES = {("__init__", "magics"), ("__init__", "containerize")}  # imported late, when they are asked for


def floor_of(module: str) -> str:
    top = module.split(".")[0]
    return next(floor for floor, names in FLOORS.items() if top in names)


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "buildr_jupyter":
            inner = node.module.partition(".")[2]
            found |= {inner} if inner else {alias.name for alias in node.names if alias.name != "__version__"}
        elif isinstance(node, ast.Import):
            found |= {a.name.partition(".")[2] for a in node.names if a.name.startswith("buildr_jupyter.")}
    return found


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_down(path: Path) -> None:
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    floor = ORDER.index(floor_of(own))
    for imported in imports_of(path):
        top = imported.split(".")[0]
        if top == own or (own, top) in SEED_NAMES or (own, top) == ("__init__", "builder"):
            continue
        other = ORDER.index(floor_of(top))
        assert other <= floor, f"{own} ({ORDER[floor]}) imports {imported} ({ORDER[other]})"
        if other == floor and ORDER[floor] == "rooms":
            assert (own, top) in BESIDE, f"room {own} knows room {top} beside it"


def test_only_three_places_know_jupyter() -> None:
    allowed = {"magics.py", "widgets.py", "cell/source.py"}
    for path in MODULES:
        name = path.relative_to(PACKAGE).as_posix()
        names = {
            alias.name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in (node.names if isinstance(node, ast.Import) else [ast.alias(node.module or "")])
        }
        knows = names & {"ipywidgets", "nbformat", "ipykernel"}
        assert not knows or name in allowed, f"{name} imports {knows}"


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, buildr_jupyter, buildr_jupyter.magics; "
        "print([m for m in ('docker', 'ipywidgets', 'kubernetes', 'requests', 'nbformat') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_it_imports_where_posix_modules_are_missing() -> None:
    """Windows has none of them."""
    modules = [
        ".".join(("buildr_jupyter", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        for path in MODULES
        if path.name not in ("__main__.py", "install.py")
    ]
    code = (
        "import sys\n"
        "import IPython\n"  # here it takes what this machine has
        "for name in ('fcntl', 'pwd', 'grp', 'resource', 'termios', 'pty'): sys.modules[name] = None\n"
        "import importlib\n"
        f"for module in {modules!r}: importlib.import_module(module)\n"
        "print('all')"
    )
    answer = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert answer.stdout.strip() == "all", answer.stderr
