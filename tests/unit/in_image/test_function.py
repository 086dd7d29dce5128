"""A decorated function as a program: which value each of its arguments has, and what becomes of what it returns."""

from __future__ import annotations

import enum
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.export.parameters import own_files, script_text
from buildr_jupyter.in_image import function, parameters
from buildr_jupyter.model.interface import Input, Interface, Return


class Color(enum.Enum):
    RED = 1
    BLUE = 2


@pytest.fixture(autouse=True)
def without_program() -> Iterator[None]:
    yield
    sys.modules.pop(function.MODULE, None)


def installed(func: Callable[..., Any], given: dict[str, Any], **baked: Any) -> tuple[Callable[..., Any], dict]:
    """Return the function as the image has it, and the names of its program."""
    func.__module__, func.__qualname__ = "__main__", func.__name__
    interface = {"inputs": [{"name": name, "type": "Any", "default": value} for name, value in baked.items()]}
    spec = {"name": func.__name__, "baked": list(baked), "makers": {"color": "Color[value]"}}
    scope: dict[str, Any] = {}
    function.install(scope, vars(parameters), interface, spec, given)
    return sys.modules[function.MODULE].wrap(func), scope


def test_outside_wins_then_the_call_then_the_image_then_the_function() -> None:
    def work(a=1, b=1, c=1, d=1):
        return a, b, c, d

    called, scope = installed(work, {"a": 4}, a=2, b=2, c=2)
    assert called(3, b=3) == scope[function.VALUE] == (4, 3, 2, 1)
    assert called.__wrapped__ is work


def test_each_kind_of_parameter_gets_its_value() -> None:
    def work(a, b=2, /, *rest, c, d=None, color=Color.RED, **more):
        return a, b, rest, c, d, color, more

    called, _ = installed(work, {"a": 1, "c": 3, "color": "BLUE"})
    assert called() == (1, 2, (), 3, None, Color.BLUE, {})
    assert called(9, 8, 7, x=6) == (1, 8, (7,), 3, None, Color.BLUE, {"x": 6})


def test_a_default_stays_the_very_object_that_it_is() -> None:
    made: list[int] = []

    def work(into=made, n=0):
        return into

    assert installed(work, {"n": 1})[0]() is made


def test_a_call_within_the_call_is_as_it_is_written() -> None:
    def work(n=5):
        return n * called(n - 1) if n else 1

    called, scope = installed(work, {"n": 4})
    assert called() == scope[function.VALUE] == 24


def test_a_call_that_is_wrong_says_so_as_python_does() -> None:
    def work(n=5):
        return n

    called, _ = installed(work, {"n": 4})
    with pytest.raises(TypeError, match="unexpected keyword argument 'm'"):
        called(m=1)


def test_other_functions_are_themselves() -> None:
    def work(n=5):
        return n

    def other(n=5):
        return n

    installed(work, {"n": 4})
    other.__module__ = "__main__"
    assert sys.modules[function.MODULE].wrap(other) is other


SCRIPT = '''"""What it is."""
import sys
from __main__ import __name__ as own
print("started", own, __doc__, sys.argv[1:], [name for name in globals() if "buildr" in name])
class P:
    pass
def work(n=2, fail=False):
    if fail:
        raise ValueError("bad")
    if n > 9:
        sys.exit(n - 10)
    return [n] if n else P()
work = sys.modules["_buildr_program"].wrap(work)
if __name__ == "__main__":
    work()
'''


def run(
    folder: Path, *words: str, returns: tuple[str, ...] = ("_",), text: str = "", script: str = SCRIPT
) -> subprocess.CompletedProcess:
    interface = Interface((Input("n", "int", 2), Input("fail", "bool", False)), tuple(map(Return, returns)))
    spec = {"name": "work", "title": "Works.", "baked": [], "makers": {}}
    (folder / "app.py").write_text(script)
    (folder / "main.py").write_text(script_text(interface, spec, "app.py"))
    for entry in own_files(interface, script=True):
        path = folder / entry.path.removeprefix("app/")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(entry.open().read())
    return subprocess.run(
        [sys.executable, "main.py", *words], cwd=folder, capture_output=True, text=True, input=text, check=False
    )


def values(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("output/.buildr/returns/*"))


def test_a_script_runs_as_the_main_program_that_it_is(tmp_path: Path) -> None:
    done = run(tmp_path, "--n", "2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "started __main__ What it is. [] []\n", "")
    assert values(tmp_path) == ["_.json", "manifest.json"]
    assert (tmp_path / "output/.buildr/returns/_.json").read_text() == "[2]"


def test_inputs_come_in_each_way_and_a_wrong_one_runs_nothing(tmp_path: Path) -> None:
    for words, text in ((["--n", "5"], ""), (["--params-file", "-"], '{"n": 5}')):
        assert run(tmp_path, *words, text=text).returncode == 0
        assert (tmp_path / "output/.buildr/returns/_.json").read_text() == "[5]"
    done = run(tmp_path, "--n", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "main.py: --n: 'x' is no int; --help lists the inputs\n"
    done = run(tmp_path, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nWorks.\n" in done.stdout
    assert "  --n int\n      default: 2 (BUILDR_PARAM_N)\n" in done.stdout


def test_values_are_there_only_where_it_ends_with_status_0(tmp_path: Path) -> None:
    for n, status in (("13", 3), ("11", 1)):
        assert run(tmp_path, "--n", n).returncode == status
        assert values(tmp_path) == []
    done = run(tmp_path, "--n", "10")
    assert (done.returncode, done.stderr) == (
        1, "buildr: --return _: the program has no such name at its end\n",
    )  # fmt: skip
    assert run(tmp_path, "--n", "10", returns=()).returncode == 0
    assert run(tmp_path, returns=("_", "own")).returncode == 0
    assert values(tmp_path) == ["_.json", "manifest.json", "own.json"]


def test_a_class_of_the_script_is_one_of_the_main_program(tmp_path: Path) -> None:
    assert run(tmp_path, "--n", "0").returncode == 0
    assert b"__main__" in (tmp_path / "output/.buildr/returns/_.pickle").read_bytes()


def test_an_error_shows_the_scripts_own_lines_alone(tmp_path: Path) -> None:
    done = run(tmp_path, "--fail", "true")
    assert done.returncode == 1
    assert [line.split(", ")[1:] for line in done.stderr.splitlines() if line.startswith("  File")] == [
        ["line 15", "in <module>"], ["line 9", "in work"],
    ]  # fmt: skip
    assert done.stderr.endswith("ValueError: bad\n")


SPAWNING = """
import multiprocessing, sys
def square(n):
    return n * n
def work(n=2):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.map(square, [n])
if __name__ == "__main__":
    sys.modules["_buildr_program"].wrap(work)()
"""


def test_a_child_process_has_the_scripts_functions_and_reads_no_inputs(tmp_path: Path) -> None:
    done = run(tmp_path, "--params-file", "-", text='{"n": 5}', script=SPAWNING)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "output/.buildr/returns/_.json").read_text() == "[25]"
