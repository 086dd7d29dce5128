from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from buildr_jupyter.config.options import Options
from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.errors import FileRefused, OptionError, RequirementError, UnboundName
from buildr_jupyter.export.function_inputs import FunctionInputs
from buildr_jupyter.model.interface import Input, Interface, Return
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.notebook.cells import CellRun
from buildr_jupyter.pipeline.planner import Assembly, CellSource, ScriptSource, assemble, default_name


def source(folder: Path, *cells: str, **changes: object) -> CellSource:
    runs = tuple(CellRun(source=text, transformed=text, index=index) for index, text in enumerate(cells))
    return replace(CellSource(runs, runs[-1], folder, "nb.ipynb"), **changes)


def make(made: CellSource | ScriptSource, options: Options | None = None) -> Assembly:
    return assemble(made, options or Options(), Interpreter.current(), {"PIP_CONFIG_FILE": "/dev/null"})


def files(assembly: Assembly) -> list[str]:
    return [entry.path for entry in assembly.plan.files]


def test_a_cell_becomes_a_plan(tmp_path: Path) -> None:
    plan = make(source(tmp_path, "x = 1", "print(x)"), Options(environment=(("K", "v"),), apt=("libgl1",))).plan
    minor = Interpreter.current().minor
    assert (plan.base, plan.python) == (f"python:{minor}-slim", minor)
    assert (plan.environment, plan.system_packages) == ((("K", "v"),), ("libgl1",))
    assert (plan.notebook, plan.cell) == ("nb.ipynb", "1")
    assert plan.requirements == ()
    assert str(tmp_path) not in str(plan.to_json())


@pytest.mark.parametrize(
    ("cell_id", "label"),
    [("4f6f-7278_x", "4f6f-7278_x"), ("vscode-notebook-cell:/home/me/nb.ipynb#W2", "0"), (None, "0")],
)
def test_a_front_ends_own_id_with_a_path_in_it_stays_here(tmp_path: Path, cell_id: str | None, label: str) -> None:
    run = CellRun(source="print(1)", transformed="print(1)", index=0, id=cell_id)
    assert make(CellSource((run,), run, tmp_path, "nb.ipynb")).plan.cell == label


def test_names_come_from_the_notebook_and_the_cell(tmp_path: Path) -> None:
    one = source(tmp_path, "print(1)", notebook="My Report (v2).ipynb")
    assert default_name(one) == "my-report-v2"
    several = replace(one, siblings=2)
    assert default_name(several) == "my-report-v2-0"
    tagged = replace(several, target=replace(one.target, tags=("Train Model",)))
    assert default_name(tagged) == "my-report-v2-train-model"
    assert default_name(replace(one, notebook=None)) == "notebook"
    assert default_name(replace(one, notebook="Été à Köln.ipynb")) == "ete-a-koln"
    others = [
        default_name(replace(one, notebook=name)) for name in ("数据.ipynb", "分析.ipynb", "数据.ipynb", "!.ipynb")
    ]
    assert all(name.startswith("notebook-") for name in others[:3])
    assert others[0] == others[2] != others[1], "two notebooks are not one image"
    assert others[3] == "notebook"
    assert default_name(ScriptSource(tmp_path / "App.py", tmp_path)) == "app"


def test_includes_bring_files_folders_and_patterns_but_never_keys(tmp_path: Path) -> None:
    for path in ("data/a.csv", "data/.env", "data/.git/config", "data/sub/b.csv", "x1.txt", "x2.txt", "deploy.pem"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    found = make(source(tmp_path, "print(1)"), Options(include=("data", "x*.txt"), exclude=("data/sub",)))
    assert files(found) == ["app/data/a.csv", "app/main.py", "app/x1.txt", "app/x2.txt"]
    assert not [one.text for one in found.warnings if "--exclude" in one.text]
    odd = make(source(tmp_path, "print(1)"), Options(include=("data",), exclude=("data/sub/", "dta", "*.pem")))
    assert files(odd) == ["app/data/a.csv", "app/main.py"]
    assert [one.text for one in odd.warnings if "--exclude" in one.text] == [
        "--exclude dta leaves nothing out", "--exclude *.pem leaves nothing out",
    ]  # fmt: skip
    named = make(source(tmp_path, "print(1)"), Options(include=("deploy.pem",)))
    assert "app/deploy.pem" in files(named), "who names a file by its name means it"
    with pytest.raises(FileRefused, match="--include gone"):
        make(source(tmp_path, "print(1)"), Options(include=("gone",)))


def test_an_include_from_elsewhere_lies_beside_the_program(tmp_path: Path) -> None:
    (tmp_path / "nb").mkdir()
    (tmp_path / "shared.csv").write_text("x")
    assert "app/shared.csv" in files(make(source(tmp_path / "nb", "print(1)"), Options(include=("../shared.csv",))))


def test_a_link_out_of_an_included_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "nb" / "data").mkdir(parents=True)
    (tmp_path / "secret").write_text("x")
    (tmp_path / "nb" / "data" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(FileRefused, match="link"):
        make(source(tmp_path / "nb", "print(1)"), Options(include=("data",)))


def test_a_script_that_uses_only_the_decorator_gets_a_stand_in(tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text("from buildr_jupyter import Containerize\n")
    plan = make(ScriptSource(script, tmp_path)).plan
    assert [entry.path for entry in plan.files] == ["app/buildr_jupyter/__init__.py", "app/main.py"]
    assert plan.requirements == ()


def test_a_script_whose_function_has_inputs_or_returns_is_run_by_a_program_of_ours(tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text("from buildr_jupyter import Containerize\nimport words\n")
    (tmp_path / "words.py").write_text("")
    function = FunctionInputs("work", "Works.", (Input("n", "int", 3),), warnings=(BuildWarning("k stays"),))
    made = make(ScriptSource(script, tmp_path, function), Options(returns=("_",)))
    assert files(made) == [
        "app/_buildr/function.py", "app/_buildr/parameters.py", "app/_buildr/returns.py", "app/app.py",
        "app/buildr_jupyter/__init__.py", "app/main.py", "app/words.py",
    ]  # fmt: skip
    assert made.plan.interface == Interface((Input("n", "int", 3),), (Return("_"),))
    assert made.warnings == (BuildWarning("k stays"),)
    plain = make(ScriptSource(script, tmp_path, replace(function, inputs=())), Options(returns=("_",)))
    assert "app/_buildr/parameters.py" not in files(plain)


def test_a_script_that_is_itself_called_main_lies_beside(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("print(1)\n")
    (tmp_path / "_main.py").write_text("print(2)\n")
    function = FunctionInputs("work", "Works.", (Input("n", "int", 3),))
    made = make(ScriptSource(tmp_path / "main.py", tmp_path, function))
    placed = {entry.path: entry.open().read() for entry in made.plan.files}
    assert placed["app/__main.py"] == b"print(1)\n"
    assert b"__main.py" in placed["app/main.py"]
    with pytest.raises(OptionError, match="a script is run as it is"):
        make(ScriptSource(tmp_path / "main.py", tmp_path), Options(returns=("_",)))


def test_a_dockerfile_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "Mine").write_text("FROM scratch\n")
    custom = make(source(tmp_path, "print(1)"), Options(dockerfile="Mine")).plan.dockerfile
    assert custom
    assert custom.text == "FROM scratch\n"
    with pytest.raises(OptionError, match="--dockerfile Gone"):
        make(source(tmp_path, "print(1)"), Options(dockerfile="Gone"))
    cell = source(tmp_path, "%%containerize --dockerfile -\nFROM x\nRUN <<EOF\ny\nEOF\n")
    taken = make(cell, Options(dockerfile="-")).plan.dockerfile
    assert taken
    assert taken.text == "FROM x\nRUN <<EOF\ny\nEOF\n"


def test_a_module_that_is_not_installed_made_its_cell_fail_where_nobody_knows(tmp_path: Path) -> None:
    made = make(source(tmp_path, "x = 1", "import nowhere_at_all\nx = nowhere_at_all.two()", "print(x)"))
    assert made.program is not None
    assert made.program.carried == 1
    assert "module nowhere_at_all is not installed" in made.warnings[0].text
    with pytest.raises(RequirementError, match="cell 1, line 1: module 'nowhere_at_all'"):
        make(source(tmp_path, "import numpy", "import nowhere_at_all\ny = nowhere_at_all.two()", "print(y)"))
    with pytest.raises(RequirementError, match="cell 0, line 1"):
        make(source(tmp_path, "import nowhere_at_all\nprint(nowhere_at_all)"))


def test_a_line_of_the_program_is_named_by_its_cell(tmp_path: Path) -> None:
    made = make(source(tmp_path, "y = 1\nx = 'found here'", "print(x)"))
    assert made.program is not None
    line = made.program.text.splitlines().index("x = 'found here'") + 1
    assert made.place_of(f"app/main.py, line {line}") == f"nb.ipynb, cell 0, line 2 (app/main.py, line {line})"
    for other in ("app/main.py, line 1", "app/main.py, line 99999", "app/data.csv, line 2", "--env DB_PASSWORD"):
        assert made.place_of(other) == other


def test_cells_that_only_the_kernels_newer_python_reads_are_read_by_it(tmp_path: Path) -> None:
    made = source(tmp_path, "x = 3", "print(x)")
    unread = replace(made.runs[0], transformed=None)
    made = replace(made, runs=(unread, made.target))
    newer = replace(Interpreter.current(), version="3.99.0")  # the real one, which says of itself that it is newer
    plan = assemble(made, Options(), newer, {"PIP_CONFIG_FILE": "/dev/null"})
    assert plan.program is not None
    assert "x = 3\n" in plan.program.text
    with pytest.raises(UnboundName, match="nothing supplies the name 'x'"):
        make(made)  # this Python is taken to be the kernel's: it could not read the cell
