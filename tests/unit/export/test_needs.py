from __future__ import annotations

from pathlib import Path

import pytest

from buildr_jupyter.export.input_choice import InputChoice
from buildr_jupyter.export.needs import find_files, find_imports, find_words
from buildr_jupyter.export.options import Widening
from buildr_jupyter.model.plan import ImportUse

from .parts import given_of, sliced_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for name in ("a.csv", "data/b.csv", "made.txt"):
        (tmp_path / name).write_text(name)
    return tmp_path


def files(folder: Path | None, *cells: str) -> list[str]:
    given = given_of(*cells, folder=folder)
    reading, sliced = sliced_of(given)
    found, tree = find_files(given, sliced, InputChoice(given, reading, sliced))
    assert (tree is None) == (folder is None)
    return [entry.path for entry in found]


def test_files_that_the_text_names_are_carried(folder: Path) -> None:
    assert files(folder, "open('a.csv')\nopen('data/b.csv')") == ["app/a.csv", "app/data/b.csv"]
    assert files(folder, "import os\nos.chdir('data')\nopen('b.csv')") == ["app/data/b.csv"]
    assert files(folder, "%pushd data", "open('b.csv')") == ["app/data/b.csv"]
    assert files(folder, "%pushd data", "%popd", "open('a.csv')") == ["app/a.csv", "app/data/b.csv"]
    assert files(None, "open('a.csv')") == []


def test_what_the_program_itself_writes_is_not_carried(folder: Path) -> None:
    assert files(folder, "open('made.txt', 'w').write('1')\nopen('made.txt')") == []


def test_an_absolute_path_below_the_folder_is_written_anew(folder: Path) -> None:
    given = given_of(f"open({str(folder / 'a.csv')!r})", folder=folder)
    reading, sliced = sliced_of(given)
    find_files(given, sliced, InputChoice(given, reading, sliced))
    reading.apply_edits()
    assert reading.sources[0] == "open('a.csv')"
    assert [one.text for one in given.warnings] == [
        f"nb.ipynb, cell 0, line 1: {str(folder / 'a.csv')!r} is written as 'a.csv'"
    ]


def imports(*cells: str, others: tuple[ImportUse, ...] = (), **options: object) -> list[tuple[str, bool]]:
    given = given_of(*cells, **options)
    reading, sliced = sliced_of(given)
    return [(use.module, use.optional) for use in find_imports(given, reading, sliced, list(others))]


def test_imports_of_the_text_then_what_methods_load_then_the_others() -> None:
    found = imports(
        "import pandas as pd\nframe = pd.read_parquet('x')", "frame", others=(ImportUse("IPython", (), "x"),)
    )
    assert found == [("pandas", False), ("pyarrow", True), ("IPython", False)]
    assert imports("x.read_parquet('x')", params=(("x", None),)) == [], "only with pandas"


def test_a_run_of_the_program_may_have_shown_more(folder: Path) -> None:
    assert imports("import json\njson", widening=Widening(modules=("lxml.etree",))) == [
        ("json", False), ("lxml.etree", True),
    ]  # fmt: skip


def test_a_module_that_the_program_writes_is_no_package() -> None:
    assert imports("open('own.py', 'w').write('x = 1')\nimport own\nown.x") == []


@pytest.mark.parametrize(
    ("code", "carried"),
    [
        ("import pathlib as pl\nprint(pl.Path('data.db').open().read())", True),
        ("from pathlib import Path\nprint(Path('data.db').open('rb').read())", True),
        ("from pathlib import Path\nPath('data.db').open('w').write('x')", False),
        ("import h5py\nprint(list(h5py.File('data.db')))", True),
        ("import h5py\nh5py.File('data.db', 'w')", False),
        ("import sqlite3\nc = sqlite3.connect('data.db')\nprint(c.execute('SELECT 1 FROM t').fetchall())", True),
        ("import sqlite3\nc = sqlite3.connect('data.db')\nc.execute('create table t (a)')", False),
        ("import sqlite3\nc = sqlite3.connect('data.db')\nframe.to_sql('t', c)", False),
        ("import glob\nfor f in glob.glob('d*.db'):\n    print(open(f).read())", True),
        ("for n in ['data']:\n    print(open(f'{n}.db').read())", True),
    ],
)
def test_a_file_that_is_there_is_carried_where_it_is_read(tmp_path: Path, code: str, *, carried: bool) -> None:
    (tmp_path / "data.db").write_text("x")
    assert (files(tmp_path, "frame = 1", code) == ["app/data.db"]) is carried


def test_a_file_that_is_read_before_it_is_written_is_carried(folder: Path) -> None:
    read = "rows = open('a.csv').read()\nopen('made.txt', 'w').write(rows)"
    asked = "import os\nthere = os.path.exists('data/b.csv')"
    wrote = "open('a.csv', 'w').write(rows + '2')\nopen('data/b.csv', 'w').write('3')"
    opened = "print(there)\nopen('a.csv'), open('made.txt'), open('data/b.csv')"
    assert files(folder, read, asked, wrote, opened) == ["app/a.csv"]


def test_a_folder_that_a_name_holds_is_gone_into(folder: Path) -> None:
    assert files(folder, "import os\nbase = 'data'\nos.chdir(base)", "open('b.csv')") == ["app/data/b.csv"]


def test_files_that_a_local_module_finds_beside_itself(folder: Path) -> None:
    (folder / "pack/sub/assets").mkdir(parents=True)
    for name in ("pack/__init__.py", "pack/sub/__init__.py"):
        (folder / name).write_text("")
    for name in ("pack/sub/assets/one.json", "pack/sub/two.txt", "pack/three.txt", "four.txt", "five.txt"):
        (folder / name).write_text(name)
    (folder / "pack/sub/reads.py").write_text(
        "import os\nfrom pathlib import Path\nfrom .. import other\nHERE = Path(__file__).parent\n"
        "def load():\n    return (HERE / 'assets' / 'one.json').read_text()\n"
        "def more():\n    return open(os.path.join(os.path.dirname(__file__), 'two.txt'))\n"
    )
    (folder / "pack/other.py").write_text("import os.path as p\nTHREE = p.join(p.dirname(__file__), 'three.txt')\n")
    (folder / "beside.py").write_text("open('four.txt')\n")
    given = given_of("from pack.sub import reads\nimport beside", "reads.load(), beside", folder=folder)
    reading, sliced = sliced_of(given)
    imports = find_imports(given, reading, sliced, [])
    found, _ = find_files(given, sliced, InputChoice(given, reading, sliced), imported=imports)
    assert {entry.path: entry.why for entry in found} == {
        "app/four.txt": "named in beside.py, line 1",
        "app/pack/sub/assets/one.json": "named in pack/sub/reads.py, line 6",
        "app/pack/sub/two.txt": "named in pack/sub/reads.py, line 8",
        "app/pack/three.txt": "named in pack/other.py, line 2",
    }


@pytest.mark.parametrize(
    ("made", "optional"),
    [
        ("import sys, json\nsys.modules['fast'] = json", {"sys": False, "json": False, "fast": True}),
        ("from sys import modules\nimport json\nmodules['fast'] = json", {"sys": False, "json": False, "fast": True}),
        ("import sys, json\nfor n in ('fast', 'x'):\n    sys.modules[n] = json",
         {"sys": True, "json": True, "fast": True}),
        ("import sys, json\nprint(sys.modules['fast'])", {"fast": False}),
    ],
)  # fmt: skip
def test_modules_that_the_program_makes_need_not_be_installed(made: str, optional: dict[str, bool]) -> None:
    assert dict(imports(made, "import fast\nprint(fast)")) == optional


def test_the_words_by_which_an_engine_may_be_named() -> None:
    given = given_of(
        "frame = make('string[pyarrow]')\nunused = 'lxml'",
        "frame.to_pandas(engine='xlsx_writer', text='" + "a" * 500 + "')",
    )
    _, sliced = sliced_of(given)
    assert find_words(given, sliced) == {
        "string": "nb.ipynb, cell 0, line 1",
        "pyarrow": "nb.ipynb, cell 0, line 1",
        "pandas": "nb.ipynb, cell 1, line 1",
        "xlsx": "nb.ipynb, cell 1, line 1",
        "writer": "nb.ipynb, cell 1, line 1",
    }


def test_a_file_that_the_program_writes_on_in_is_carried(folder: Path) -> None:
    assert files(folder, "open('a.csv', 'a').write('1')\nopen('a.csv')") == ["app/a.csv"]
    assert files(folder, "open('a.csv', 'r+').write('1')\nopen('a.csv')") == ["app/a.csv"]
    assert files(folder, "open('made.txt', 'w').write('1')\nopen('made.txt', 'a').write('2')") == []


def test_a_file_that_is_fetched_where_it_is_not_there_is_carried(folder: Path) -> None:
    fetch = "urllib.request.urlretrieve('http://x.invalid/a', name)"
    guarded = f"import os, urllib.request\nname = 'a.csv'\nif not os.path.exists(name):\n    {fetch}\nopen(name)"
    assert files(folder, guarded) == ["app/a.csv"]
    assert files(folder, f"import urllib.request\nname = 'a.csv'\n{fetch}\nopen(name)") == []
    assert files(folder, "import os\nif not os.path.exists('data'):\n    os.makedirs('data')\nos.listdir('data')") == []
