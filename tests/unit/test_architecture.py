"""The rules of the architecture (docs/architecture.md), read from the files themselves, each seen failing on a breach."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "buildr_jupyter"
ORDER = (
    "errors", "model", "events", "config", "secretscan", "process", "journal", "engine", "cluster", "registry",
    "in_image", "notebook", "analysis", "dependencies", "export", "context", "oci", "builder", "runner", "pipeline", "ui",
    "commands",
)  # fmt: skip
"""One total order: a package imports those before it. The entry points at the top level come last."""
TOP_LEVEL = {"__init__", "__main__", "errors", "magics", "cli", "containerize"}
JUPYTER = {
    "magics", "ui.anywidget_bridge", "notebook.frontend", "notebook.kernel_history", "notebook.observer",
}  # fmt: skip
"""The modules that may import ipykernel, ipywidgets and traitlets, or ask for the shell."""

Tree = Mapping[str, str]
"""Module in dotted form below the package (``builder.selection``; a package's ``__init__`` as the package) to source."""


def read_tree() -> dict[str, str]:
    """Return the package as it stands."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path.read_text("utf-8")
        for path in sorted(PACKAGE.rglob("*.py"))
    }


@functools.cache
def import_statements(text: str) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """Return those of a module: a planted breach is one module more among three hundred that were read before."""
    return tuple(node for node in statements(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom))


def statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield all statements below a node; expressions, nine tenths of a tree, have none."""
    for _, value in ast.iter_fields(node):
        for one in value if isinstance(value, list) else ():
            if isinstance(one, ast.stmt):
                yield one
            if isinstance(one, ast.stmt | ast.excepthandler | ast.match_case):
                yield from statements(one)


def imports(tree: Tree) -> Iterator[tuple[str, str]]:
    """Yield (module, what it imports of the package), late and type-only imports too."""
    for module, text in tree.items():
        for node in import_statements(text):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "buildr_jupyter":
                inner = node.module.partition(".")[2]
                for alias in node.names:
                    whole = f"{inner}.{alias.name}".strip(".")
                    yield module, whole if whole in tree else inner or "__init__"
            elif isinstance(node, ast.Import):
                yield from (
                    (module, alias.name.partition(".")[2])
                    for alias in node.names
                    if alias.name.startswith("buildr_jupyter.")
                )


def rank(module: str) -> int:
    top = module.split(".")[0]
    return ORDER.index(top) if top in ORDER else len(ORDER)


# -- the rules: each returns the breaches in a tree


def top_level(tree: Tree) -> list[str]:
    """Rule 1: the top level holds the entry points, the errors and the packages of the order."""
    return sorted({module.split(".")[0] for module in tree} - TOP_LEVEL - set(ORDER))


def order(tree: Tree) -> list[str]:
    """Rule 2: imports go down, and no module reaches itself."""
    graph: dict[str, set[str]] = {}
    breaches = []
    for module, imported in imports(tree):
        if module in ("__init__", "") or imported in ("__init__", ""):
            continue
        graph.setdefault(module, set()).add(imported)
        if rank(imported) > rank(module):
            breaches.append(f"{module} imports {imported}")
    return breaches + [f"cycle: {' > '.join(cycle)}" for cycle in cycles(graph)]


def cycles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    state: dict[str, int] = {}
    path: list[str] = []
    found = []

    def visit(module: str) -> None:
        state[module] = 1
        path.append(module)
        for other in sorted(graph.get(module, ())):
            # A module imports its own package's __init__ only by being in it.
            if other == module or module.startswith(other + "."):
                continue
            if state.get(other) == 1:
                found.append([*path[path.index(other) :], other])
            elif other not in state:
                visit(other)
        path.pop()
        state[module] = 2

    for module in sorted(graph):
        if module not in state:
            visit(module)
    return found


def private(tree: Tree) -> list[str]:
    """Rule 3: what begins with an underscore stays inside its package."""
    return [
        f"{module} imports {imported}"
        for module, imported in imports(tree)
        if any(part.startswith("_") and part != "__init__" for part in imported.split("."))
        and module.split(".")[0] != imported.split(".")[0]
    ]


def asks_builders(tree: Tree) -> list[str]:
    """Rule 4: the pipeline asks no builder or runner what it is, neither by getattr nor by its name or class."""
    return [
        f"{module}: {words}"
        for module, text in tree.items()
        if module.split(".")[0] == "pipeline"
        for words in questions(text)
    ]


@functools.cache
def questions(text: str) -> tuple[str, ...]:
    """Return what of a module asks a builder or runner what it is."""
    found = []
    for node in ast.walk(ast.parse(text)):
        words = ast.unparse(node) if isinstance(node, ast.Call | ast.Compare) else ""
        asked = re.match(r"(?:getattr|hasattr|isinstance|type)\((?:self\.)?_?(?:builder|runner)\b", words)
        named = isinstance(node, ast.Compare) and re.search(r"\b(?:builder|runner)(?:\.name|\.command)\b", words)
        if asked or named:
            found.append(words)
    return tuple(found)


def untested(tree: Tree) -> list[str]:
    """Rule 5: every module has a test module of its own name, in a folder of its package's name."""
    wanted = {
        module: Path("tests", "unit", *module.split(".")[:-1], f"test_{module.split('.')[-1].lstrip('_')}.py")
        for module in tree
        if "." in module and not any(other.startswith(f"{module}.") for other in tree)
    }
    return [f"{module}: {path}" for module, path in wanted.items() if not (ROOT / path).is_file()]


def knows_jupyter(tree: Tree) -> list[str]:
    """Rule 8: only a few modules know Jupyter's front ends."""
    breaches = []
    for module, text in tree.items():
        for node in import_statements(text):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            known = {name.split(".")[0] for name in names} & {"ipykernel", "ipywidgets", "anywidget", "traitlets"}
            if known and module not in JUPYTER | {"ui.sessions"}:
                breaches.append(f"{module} imports {', '.join(names)}")
    return breaches


def imports_its_own(tree: Tree) -> list[str]:
    """Rule 9: a package gives its public names when asked for them, and imports none of its modules by itself.

    Else two threads wait for each other's import lock, and one of them gets a module that is half there.
    """
    packages = {module for module in tree if any(other.startswith(f"{module}.") for other in tree)}
    breaches = []
    for module in sorted(packages):
        body = ast.parse(tree[module]).body
        eager = {
            module: ast.unparse(ast.Module([one for one in body if isinstance(one, ast.Import | ast.ImportFrom)], []))
        }
        breaches += [f"{module} imports {imported}" for _, imported in imports(eager)]
    return breaches


RULES = {
    top_level: {"mechanics.lever": ""},
    order: {"model.plan": "def late():\n    from buildr_jupyter.builder import select"},
    private: {"builder.selection": "from buildr_jupyter.runner._outputs import x", "runner._outputs": ""},
    asks_builders: {"pipeline.stages": "x = getattr(builder, 'keeps_images', False)"},
    untested: {"builder.never_tested": ""},
    knows_jupyter: {"export.program": "import ipywidgets"},
    imports_its_own: {"runner": "from buildr_jupyter.runner.selection import select"},
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_holds(rule: object) -> None:
    assert callable(rule)
    assert rule(read_tree()) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_planted_breach_is_seen(rule: object) -> None:
    assert callable(rule)
    planted = read_tree() | RULES[rule]  # type: ignore[index]
    assert len(rule(planted)) > len(rule(read_tree()))


def test_a_cycle_is_seen() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == [["a", "b", "c", "a"]]


@pytest.mark.parametrize("package", [name for name, text in read_tree().items() if "\n_MODULES = {" in text])
def test_a_package_gives_the_names_that_it_lists(package: str) -> None:
    facade = importlib.import_module(f"buildr_jupyter.{package}")
    [typed] = [
        {alias.name for line in node.body if isinstance(line, ast.ImportFrom) for alias in line.names}
        for node in ast.parse(read_tree()[package]).body
        if isinstance(node, ast.If)
    ]
    assert typed == set(facade.__all__) == set(facade._MODULES)
    assert all(getattr(facade, name) is not None for name in facade.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        facade.nothing  # noqa: B018


@pytest.mark.parametrize("seed", range(4))
def test_threads_import_at_once(seed: int) -> None:
    """A cell that runs while the extension warms up in a thread; this failed in one of four tries."""
    names = [f"buildr_jupyter.{module}" for module in read_tree() if module.split(".")[0] in ORDER]
    names = [name for name in names if ".in_image" not in name]
    code = (
        "import sys; sys.modules['rfc3987_syntax'] = None\n"  # a grammar of jsonschema's: 1.4 s of a processor to read
        "import IPython, docker, ipywidgets, anywidget, nbformat\n"
        "import importlib, random, threading\n"
        f"sys.setswitchinterval(1e-6); random.seed({seed}); names = {names!r}; failed = []\n"
        "def work(order):\n"
        "    gate.wait()\n"
        "    for name in order:\n"
        "        try:\n"
        "            try: importlib.import_module(name)\n"
        # Python takes a package out of sys.modules and puts it back once it is made (importlib, _load_unlocked): who
        # looks at that very moment finds none, in each package of anybody.
        "            except KeyError: importlib.import_module(name)\n"
        "        except Exception as error: failed.append(f'{name}: {error!r}')\n"
        "gate = threading.Barrier(4)\n"
        "threads = [threading.Thread(target=work, args=(random.sample(names, len(names)),)) for _ in range(4)]\n"
        "for one in threads: one.start()\n"
        "for one in threads: one.join()\n"
        "print(failed)"
    )
    answer = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_importing_the_package_is_light() -> None:
    """Rule 7."""
    code = (
        "import sys, buildr_jupyter, buildr_jupyter.magics; "
        "print([m for m in ('docker', 'ipywidgets', 'kubernetes', 'requests', 'nbformat') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_it_imports_where_posix_modules_are_missing() -> None:
    """Windows has none of them."""
    modules = [
        f"buildr_jupyter.{module}"
        for module in read_tree()
        if module not in ("__init__", "__main__") and not module.startswith("in_image")
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
