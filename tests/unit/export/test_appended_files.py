from __future__ import annotations

import ast
from pathlib import Path

import pytest

from buildr_jupyter.export.appended_files import appended_by

from .parts import exported


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ('open("log.txt", "a").write("x")', ["log.txt"]),
        ('open("./log.txt", mode="ab")', ["log.txt"]),
        ('open("log.txt", "r+")', ["log.txt"]),
        ('open("log.txt", "w")', []),
        ('open("log.txt")', []),
        ("open(name, 'a')", []),
        ('Path("log.txt").open("a")', ["log.txt"]),
        ('df.to_csv("t.csv", mode="a", header=False)', ["t.csv"]),
        ('df.to_csv("t.csv")', []),
        ('subprocess.run("date >> d/log.txt; ls > b.txt", shell=True)', ["d/log.txt"]),
        ('subprocess.run(["bash", "-c", "date >> log.txt"])', ["log.txt"]),
        ('print("a >> b")', []),
    ],
)
def test_files_that_a_statement_adds_to(statement: str, expected: list[str]) -> None:
    assert list(appended_by(ast.parse(statement))) == expected


def test_what_a_kernel_sees_is_left_out_where_shells_alone_count() -> None:
    both = ast.parse('open("a.txt", "a")\nos.system("date >> b.txt")')
    assert list(appended_by(both, of_shells_alone=True)) == ["b.txt"]


@pytest.mark.parametrize(
    "adds", ['open("log.txt", "a").write("one\\n")', "!echo one >> log.txt", "%%bash\necho one >> log.txt"]
)
def test_a_file_that_is_there_and_is_added_to_is_told(
    adds: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log.txt").write_text("one\n")
    assert exported(tmp_path, tmp_path / "out", adds, 'print(open("log.txt").read())') == 0
    assert "adds to log.txt, which is carried as it is now" in capsys.readouterr().err
    (tmp_path / "log.txt").unlink()
    assert exported(tmp_path, tmp_path / "again", adds, 'print(open("log.txt").read())') == 0
    assert "adds to" not in capsys.readouterr().err
