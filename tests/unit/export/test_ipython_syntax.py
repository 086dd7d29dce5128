from __future__ import annotations

import ast
import contextlib
import os
import shutil
import sys
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.text import SList

from buildr_jupyter.export.ipython_syntax import asks_for_lines, edited, kernel_name_hint, kernel_names, translate
from buildr_jupyter.notebook.cells import transform


def of(cell: str, *, chosen: bool = True) -> str:
    """Return the plain Python of a cell."""
    plain = transform(cell)
    assert plain is not None
    return translate(plain, transform, chosen=chosen).source


def test_plain_python_stays_as_it_is() -> None:
    assert of("x = 1  # why\n") == "x = 1  # why\n"


@pytest.mark.parametrize(
    ("cell", "part"),
    [
        ("!ls {folder}", "run(('ls ' + str(folder)), shell=True, executable="),
        ("x = !ls", "getoutput('ls').splitlines()"),
        ("%cd data", "chdir('data')"),
        ("%pwd", "getcwd()"),
        ("%env A=1", ".update({'A': '1'})"),
        ("%time f(1)", "f(1)"),
        ("%matplotlib inline", "None"),
        ("%run other", "run_path('other.py', run_name=\"__main__\")"),
        ("%%bash\necho 1", "run(['bash'], input=b'echo 1\\n')"),
    ],
)
def test_magics_are_written_in_plain_python(cell: str, part: str) -> None:
    source = of(cell)
    ast.parse(source)
    assert "get_ipython" not in source
    assert part in source


def test_lines_keep_their_numbers() -> None:
    source = of("a = 1\n%cd data\n\nb = 2")
    assert [node.lineno for node in ast.parse(source).body] == [1, 2, 4]


def test_what_only_ipython_can_do_stays_a_call_of_it() -> None:
    assert "get_ipython()" in of("%own_magic x")
    assert "get_ipython().run_cell_magic('bash', '-s 3'" in of("%%bash -s 3\necho $1")


@pytest.mark.parametrize(
    ("cell", "statement"),
    [
        ("%prun f(1)", "f(1)"),
        ("%prun -l 5 -s cumulative f(1, 2)", "f(1, 2)"),
        ("%prun -q x = f(1)", "x = f(1)"),
        ("%memit -r 1 f(1)", "f(1)"),
        ("%lprun -f g g('a  b')", "g('a  b')"),
        ("%prun -s 'cumulative' f(1)", "f(1)"),
        ("%prun f(1)  # 'tis no text", "f(1)  # 'tis no text"),
    ],
)
def test_what_is_measured_is_run(cell: str, statement: str) -> None:
    assert of(cell, chosen=False).strip() == statement


@pytest.mark.parametrize(
    ("cell", "chosen", "plain"),
    [
        ("%who", False, True),
        ("%who", True, False),
        ("names = %who_ls", False, False),
        ("%precision 2", False, False),
        ("%config InlineBackend.figure_format = 'svg'", False, True),
        ("%config ZMQInteractiveShell.ast_node_interactivity = 'all'", False, True),
        ("%config Other.setting = 1", False, False),
        ("%prun -s 'a b' f(1)", False, False),
        ("%prun -x f(1)", False, False),
    ],
)
def test_what_shows_in_a_result_is_left_to_ipython(cell: str, chosen: bool, plain: bool) -> None:
    assert ("get_ipython" not in of(cell, chosen=chosen)) is plain


@pytest.mark.parametrize(
    ("cell", "foreign", "chosen"),
    [
        ("%%javascript\nx", "javascript", None),
        ("%%svg\n<svg/>", "svg", None),
        ("%%perl\nprint 1", "perl", None),
        ("%%writefile f.txt\nx", "writefile", None),
        ("%%sql\nselect 1", "sql", "sql"),
        ("x", None, None),
    ],
)
def test_a_cell_in_another_language_says_so(cell: str, foreign: str | None, chosen: str | None) -> None:
    plain = transform(cell)
    assert plain is not None
    assert translate(plain, transform, chosen=False).foreign == foreign
    assert translate(plain, transform).foreign == chosen, "what every IPython can do, it does in the image"


def test_what_pip_is_asked_for_is_a_requirement_and_runs_nothing() -> None:
    plain = transform("%pip install rich==13.0 ./own.whl\n!pip install attrs")
    assert plain is not None
    found = translate(plain, transform)
    assert found.requirements == (("rich==13.0", 1), ("attrs", 2))
    assert [line for _, line in found.passed_over] == [1]
    assert ast.unparse(ast.parse(found.source)) == "None\nNone"


def test_a_capture_keeps_what_the_chosen_cell_prints() -> None:
    plain = transform("%%capture --no-stdout out\nprint(1)\nx")
    assert plain is not None
    found = translate(plain, transform)
    assert (found.captured, found.display_captured) == (False, True)
    assert "capture_output(stdout=False, stderr=True, display=True) as out:" in of(
        "%%capture --no-stdout out\nprint(1)", chosen=False
    )


def test_expressions_are_written_anew_in_their_places() -> None:
    source = "é = f(1, 'a')\ny = [\n    2,\n]\n"
    first, second = (node.value for node in ast.parse(source).body if isinstance(node, ast.Assign))
    assert edited(source, [(first, "1"), (second, "[]")]) == "é = 1\ny = []\n\n\n"


@pytest.mark.parametrize("name", ["input", "get_ipython", "_", "__", "_12", "_i3", "In", "Out", "_oh"])
def test_names_that_only_a_kernel_has_have_a_way_out(name: str) -> None:
    assert kernel_name_hint(name)


@pytest.mark.parametrize("name", ["x", "display", "_private", "____", "_1a"])
def test_other_names_have_none(name: str) -> None:
    assert kernel_name_hint(name) is None


@pytest.mark.parametrize(
    ("cell", "part"),
    [
        ("%cd -q data", "chdir('data')"),
        ("%cd 'my data'", "chdir('my data')"),
        ("%cd {place}/x", "chdir((str(place) + '/x'))"),
        ("%cd ~/x", "chdir(__import__(\"os\").path.expanduser('~/x'))"),
        ("%cd -", "get_ipython()"),
        ("%cd -b mark", "get_ipython()"),
    ],
)
def test_the_folder_that_cd_goes_into(cell: str, part: str) -> None:
    assert part in of(cell)


def test_popd_goes_back_to_the_folders_that_pushd_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    seen = []
    for cell in ("%pushd a", "%pushd none", "%pushd b", "%cd ..", "%pushd", "%popd", "%popd", "%popd"):
        with contextlib.suppress(FileNotFoundError):
            exec(of(cell), {})
        seen.append(os.path.relpath(Path.cwd(), tmp_path))
    assert seen == ["a", "a", "a/b", "a", "a", "a", "a", "."]


def test_a_script_gets_its_own_arguments_and_the_program_has_its_own_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "part.py").write_text("import sys\ngiven = sys.argv[:]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["main.py"])
    space = sys.modules["__main__"].__dict__
    exec(of("%run part.py --n 'a b'"), space)
    assert space.pop("given") == ["part.py", "--n", "a b"]
    assert sys.argv == ["main.py"]


def test_a_shell_line_is_read_by_the_shell_that_people_have(capfd: pytest.CaptureFixture[str]) -> None:
    exec(of("!echo a{1..2} && [[ ab == a* ]] && echo yes"), {})
    assert capfd.readouterr().out == ("a1 a2\nyes\n" if shutil.which("bash") else "a{1..2}\n")


def test_a_tuple_in_a_shell_line_is_written_as_one(capfd: pytest.CaptureFixture[str]) -> None:
    exec(of("!echo '{1, 2}'"), {})
    assert capfd.readouterr().out == "(1, 2)\n"


@pytest.mark.parametrize(
    "use",
    [
        "x.n", "x.s", "x.l", "x.p", "x.nlstr", "x.spstr", "x.grep('b')", "x.grep('b', prune=True)", "x.fields()",
        "x.grep('1', field=1)", "x.grep('b', field=-1)", "x.grep(lambda line: 'a' in line)", "x.fields(0)",
        "x.fields(1, 0)", "x.fields(-1)", "x.sort()", "x.sort(0)", "x.get_nlstr()", "type(x.grep('a')).__name__",
    ],
)  # fmt: skip
def test_what_a_shell_gives_has_what_the_kernel_s_lines_have(use: str) -> None:
    lines = ["b 2 x", "a 10", "", "c", " B 3 y z", "."]
    plain = transform("x = !printf '%s\\n' " + " ".join(map(repr, lines)))
    assert plain is not None
    space: dict[str, object] = {}
    exec(translate(plain, transform, lines=True).source, space)
    assert space["x"] == lines
    assert eval(use, space) == eval(use, {"x": SList(lines)})
    assert asks_for_lines(use)


def test_what_a_shell_gives_is_a_list_where_nothing_asks_for_more() -> None:
    assert not asks_for_lines("x[0].strip()\nlen(x)")
    assert "SList" not in of("x = !ls")


def test_the_kernel_by_another_name_is_the_kernel() -> None:
    assert kernel_names("ip = get_ipython()\nx = 1\n    shell=get_ipython() ") == {"ip", "shell"}
    assert kernel_names("x = get_ipython().user_ns") == kernel_names("ip = 1") == set()
    source = translate("ip.system('ls')\nother.system('ls')", transform, kernels={"ip"}).source
    assert [".run(" in line for line in source.splitlines()] == [True, False]


def expanded(line: str, names: dict[str, object]) -> str:
    """Return what IPython makes of a line."""
    shell = InteractiveShell()
    shell.history_manager.enabled = False
    shell.user_ns = dict(names)
    try:
        return shell.var_expand(line)
    finally:
        shell.history_manager.end_session()


@pytest.mark.parametrize(
    "line",
    [
        "echo $d", "echo {d}", "echo ${d}", "echo $d.x", "echo {d[0]} {d[1:3]} {d!r}", "echo $HOME", "echo {d} $HOME",
        "for f in *; do echo $f; done", "awk '{print $1}' x", "awk '{{print $1}}' {d}", "echo '$d' {d}", "echo $$d {d}",
        "echo $$", "echo {1, 2}", "echo a{1..3}", "echo {d:>5}", "echo { d }", "echo }", "echo {len(d)}", "echo $d$d",
        "echo '{{\"a\": 1}}' > {d}", "sed 's/a$/b/' {d}", "echo {undefined(d)}",
    ],
)  # fmt: skip
def test_a_shell_line_is_expanded_as_ipython_does(line: str) -> None:
    names: dict[str, object] = {"d": "data", "other": 1}
    plain = transform(f"x = !{line}")
    assert plain is not None
    source = translate(plain, transform, names=names).source
    command = source.removeprefix('x = __import__("subprocess").getoutput(').rstrip().removesuffix(").splitlines()")
    try:
        found = eval(command, dict(names))
    except AttributeError:
        found = line  # ``$d.x``: what fails when it runs fails there, too
    assert found == expanded(line, names)
