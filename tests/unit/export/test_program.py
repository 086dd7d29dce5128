"""Programs as they run: exits, signals, parameters, snapshots, files; what is exported always compiles."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildr_jupyter.errors import BuildrError, FileRefused, OptionError, ValueRefused
from buildr_jupyter.export.options import ExportOptions
from buildr_jupyter.export.program import Program, explain, export
from buildr_jupyter.notebook.cells import CellRun, transform


def make(
    sources: list[str], *, folder: Path | None = None, namespace: dict | None = None, **options: object
) -> Program:
    status = None if namespace is None else "ok"
    runs = [CellRun(one, transform(one), index=index, status=status) for index, one in enumerate(sources)]
    settings_ = ExportOptions(**options)
    return export(runs, runs[-1], settings_, folder=folder, notebook="nb.ipynb", namespace=namespace)


def write(program: Program, app: Path) -> Path:
    app.mkdir(exist_ok=True)
    (app / "main.py").write_text(program.text)
    for entry in (*program.files, *program.state):
        place = app / entry.path.removeprefix("app/")
        place.parent.mkdir(parents=True, exist_ok=True)
        with entry.open() as stream:
            place.write_bytes(stream.read())
    return app


def run(program: Program, app: Path, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    write(program, app)
    env = {**os.environ, **environment}
    return subprocess.run([sys.executable, "main.py", *args], cwd=app, capture_output=True, text=True, env=env)


def test_text_is_the_same_each_time_and_small() -> None:
    sources = ["import matplotlib.pyplot as plt\nx = 1\ny = 2", "print(x)\nplt.plot([x])\nx"]
    first, second = make(sources), make(sources)
    assert first.text == second.text
    assert first.text.split("# %% ")[0].count("\n") <= 41  # the empty line before the first block is not the preamble's
    assert len(first.origins) == first.text.count("\n")
    assert "nb.ipynb, cell 0, line 2" in first.origins
    assert ("x", "code") in [row[:2] for row in explain(first)]


def test_an_exception_names_the_cell_and_line(tmp_path: Path) -> None:
    done = run(make(["def f():\n    return 1 / 0", "x = 1\nf()"]), tmp_path)
    assert done.returncode == 1
    assert 'File "nb.ipynb, cell 1", line 2' in done.stderr
    assert 'File "nb.ipynb, cell 0", line 2, in f' in done.stderr
    assert "main.py" not in done.stderr


@pytest.mark.parametrize(
    ("code", "status"), [("import sys; sys.exit(3)", 3), ("raise KeyboardInterrupt", 130), ("1", 0)]
)
def test_exit_status(tmp_path: Path, code: str, status: int) -> None:
    assert run(make([code]), tmp_path).returncode == status


def test_sigterm_ends_it_inside_a_long_call(tmp_path: Path) -> None:
    app = write(make(["print('up', flush=True)\nsum(range(10**12))"]), tmp_path)
    child = subprocess.Popen([sys.executable, "main.py"], cwd=app, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    child.send_signal(signal.SIGTERM)
    assert child.wait(60) == -signal.SIGTERM  # the sum would take hours
    child.stdout.close()


def test_what_other_cells_print_goes_to_standard_error(tmp_path: Path) -> None:
    made = "import subprocess\nprint('a')\nv = print('b') or subprocess.call(['echo', 'c'])"
    done = run(make([made, "print('d')\nv"]), tmp_path)
    assert (done.stdout, done.stderr.split()) == ("d\n0\n", ["b", "c"])


def test_what_other_cells_print_at_the_exit_goes_to_standard_error(tmp_path: Path) -> None:
    cells = ["import atexit\natexit.register(print, 'bye')", "print('hi')\n4"]
    done = run(make(cells), write(make(cells), tmp_path))
    assert (done.stdout, done.stderr) == ("hi\n4\n", "bye\n")


def test_a_module_that_is_written_twice_is_read_twice(tmp_path: Path) -> None:
    cells = [
        "%%writefile made_one.py\nv = 4", "import made_one\nold = made_one.v", "%%writefile made_one.py\nv = 5",
        "import importlib\nimportlib.reload(made_one)", "old, made_one.v",
    ]  # fmt: skip
    assert run(make(cells), write(make(cells), tmp_path)).stdout == "(4, 5)\n"


def test_parameters(tmp_path: Path) -> None:
    program = make(["n = 3\nm = n * 2", "m"], params=(("n", None),))
    assert run(program, tmp_path).stdout == "6\n"
    assert run(program, tmp_path, "--n", "7").stdout == "14\n"
    assert run(program, tmp_path, BUILDR_PARAM_N="8").stdout == "16\n"
    assert run(program, tmp_path, "--n", "7", BUILDR_PARAM_N="8").stdout == "14\n"
    bad = run(program, tmp_path, "--n", "x")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr == "main.py: --n: 'x' is no int; --help lists the inputs\n"
    assert "--n" in run(program, tmp_path, "--help").stdout
    with pytest.raises(OptionError, match="--param q"):
        make(["n = 3", "n"], params=(("q", None),))


def test_a_snapshot_keeps_what_is_shared(tmp_path: Path) -> None:
    shared = [1]
    program = make(["a = [1]\nb = a", "print(a is b)\na"], namespace={"a": shared, "b": shared}, snapshots=("a", "b"))
    assert run(program, tmp_path).stdout == "True\n[1]\n"
    assert {note.name: note.kind for note in program.names} == {"a": "snapshot", "b": "snapshot"}
    assert program.carried == 0


def test_an_unpicklable_value_is_refused_with_its_name() -> None:
    lock = __import__("threading").Lock()
    with pytest.raises(ValueRefused, match=r"a \(_thread\.lock, from nb\.ipynb, cell 0, line 2\)"):
        make(["import threading\na = threading.Lock()", "a"], namespace={"a": lock}, snapshots=("a",))


def test_a_snapshot_over_the_limit_and_one_without_a_kernel() -> None:
    with pytest.raises(ValueRefused, match="larger than 10 bytes"):
        make(["a = 1", "a"], namespace={"a": "x" * 99}, snapshots=("a",), snapshot_limit_bytes=10)
    with pytest.raises(ValueRefused, match="no kernel"):
        make(["a = 1", "a"], snapshots=("a",))


def test_files_are_carried_or_refused(tmp_path: Path) -> None:
    folder = tmp_path / "nb"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "in 'x'.txt").write_text("hey")
    (folder / "data" / "plain.txt").write_text("hoy")
    program = make(["t = open(\"data/in 'x'.txt\").read()", "t"], folder=folder)
    assert [entry.path for entry in program.files] == ["app/data/in 'x'.txt"]
    assert run(program, tmp_path / "app").stdout == "'hey'\n"
    (tmp_path / "secret.txt").write_text("s")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    for path, says in (("link.txt", "link out"), ("../secret.txt", "outside")):
        with pytest.raises(FileRefused, match=says):
            make([f"open({path!r}).read()"], folder=folder)
    with pytest.raises(FileRefused, match="3 bytes, more than 2"):
        make(["open(\"data/in 'x'.txt\").read()"], folder=folder, file_limit_bytes=2)
    absolute = make([f"open({str(folder / 'data' / 'plain.txt')!r}).read()"], folder=folder)
    assert absolute.warnings[0].text.endswith("is written as 'data/plain.txt'")
    assert str(tmp_path) not in absolute.text


names = st.sampled_from(["a", "b", "c"])
statements = st.one_of(
    st.builds("{} = {}".format, names, st.integers(0, 9)),
    st.builds("{} = [{}]".format, names, names),
    st.builds("{0} = {0} + {1}".format, names, names),
    st.builds("for {} in range(3):\n    {} = 1".format, names, names),
    st.builds("def {}():\n    return {}".format, names, names),
    st.builds("{} = lambda: {}".format, names, names),
    st.builds("if {}:\n    {} = 2\nelse:\n    del {}".format, names, names, names),
    st.builds("{}; {}".format, names, names),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(statements, min_size=1, max_size=3).map("\n".join), min_size=1, max_size=5))
def test_what_is_exported_compiles(cells: list[str]) -> None:
    try:
        program = make(cells)
    except BuildrError:
        return
    ast.parse(program.text)
