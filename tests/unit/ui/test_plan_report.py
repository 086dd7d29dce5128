"""The report of a plan shows its Dockerfile, files, requirements and names with their reasons, in columns."""

from __future__ import annotations

from buildr_jupyter.context.dockerfile import render_dockerfile
from buildr_jupyter.dependencies.index_config import IndexSettings
from buildr_jupyter.model.plan import FileEntry, ImagePlan, NameNote, Requirement
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.pipeline.planner import Assembly
from buildr_jupyter.ui.plan_report import render_explanation


def test_everything_with_its_reason() -> None:
    plan = ImagePlan(
        base="python:3.12-slim",
        python="3.12",
        requirements=(Requirement("a==1", "imported by cell 1"),),
        files=(
            FileEntry.from_bytes("app/main.py", b"x" * 2000, why="the program"),
            FileEntry.from_bytes("app/x", b"", why="read by cell 2"),
        ),
        names=(NameNote("n\x1b[31m", "nb.ipynb, cell 0, line 1", "code", "it is cheap"),),
    )
    text = render_explanation(Assembly(plan, IndexSettings(), None, (BuildWarning("something is odd"),)))
    assert text.startswith("Dockerfile\n\n" + render_dockerfile(plan).rstrip("\n"))
    assert text.endswith(
        "2 files\n"
        "  app/main.py  2.0 kB   the program\n"
        "  app/x        0 bytes  read by cell 2\n"
        "\n"
        "1 requirement\n"
        "  a==1  imported by cell 1\n"
        "\n"
        "1 name\n"
        "  n  code  nb.ipynb, cell 0, line 1  it is cheap\n"
        "\n"
        "warning: something is odd\n"
    )


def test_what_there_is_none_of_is_said() -> None:
    text = render_explanation(Assembly(ImagePlan(base="python:3.12-slim", python="3.12"), IndexSettings(), None, ()))
    assert text.endswith("no files\n\nno requirements\n\nno names\n")


def test_a_long_cell_does_not_push_the_columns_of_the_others_away() -> None:
    long, short = "app/" + "x" * 100, "app/y"
    files = tuple(FileEntry.from_bytes(name, b"", why="w") for name in (long, short))
    lines = render_explanation(
        Assembly(ImagePlan(base="b", python="3.12", files=files), IndexSettings(), None, ())
    ).splitlines()
    assert f"  {long}  0 bytes  w" in lines
    assert f"  {short:<60}  0 bytes  w" in lines
