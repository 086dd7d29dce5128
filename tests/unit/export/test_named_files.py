from __future__ import annotations

import ast
import builtins
import importlib
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from buildr_jupyter.export import known_texts, named_files
from buildr_jupyter.export.known_texts import Evaluated, evaluate
from buildr_jupyter.export.named_files import carry_named, listings_of_program, listings_unknown, readers_unknown, texts
from buildr_jupyter.export.project import Tree


def program_of(code: str) -> list[Evaluated]:
    return list(evaluate((node, "cell 0") for node in ast.parse(code).body))


def found(code: str) -> set[str]:
    return {text for text, _ in texts(program_of(code))}


@pytest.mark.parametrize(
    "code",
    [
        "read('data/a.csv')",
        "read(path='data/a.csv')",
        "P = 'data/a.csv'\nread(P)",
        "D = 'data'\nread(D + '/a.csv')",
        "D = 'data'\nread(f'{D}/a.csv')",
        "import os\nD = 'data'\nread(os.path.join(D, 'a.csv'))",
        "from pathlib import Path\nD = Path('data')\nread(D / 'a.csv')",
        "from pathlib import Path\nread(Path('data', 'a.csv'))",
        "from pathlib import Path\nread(Path('data').joinpath('a.csv'))",
        "from pathlib import Path\nP = Path('data/b.csv')\nread(P.with_name('a.csv'))",
        "from pathlib import Path\nP = Path('data/a.txt')\nread(P.with_suffix('.csv'))",
        "from pathlib import Path\nP = Path('data/b.csv')\nread(P.with_stem('a'))",
        "from pathlib import Path\nP = Path('data/b.csv')\nread(P.parent / 'a.csv')",
        "from pathlib import Path\nread(Path('data/b.csv').resolve().parent.joinpath('a.csv'))",
        "import os\nP = 'data/b.csv'\nread(os.path.join(os.path.dirname(P), 'a.csv'))",
        "from pathlib import Path\nread(str(Path('data') / 'a.csv'))",
        "for f in ['data/a.csv']:\n    read(f)",
        "def f(x='data/a.csv'):\n    return read(x)",
        "N = 'a'\nread('data/%s.csv' % N)",
        "read('{}/{name}.csv'.format('data', name='a'))",
        "read('/'.join(['data', 'a.csv']))",
        "read('DATA/A.csv'.lower())",
        "read('data/a.txt'.replace('txt', 'csv'))",
        "for n in ['b', 'a']:\n    read('data/' + n + '.csv')",
        "for n, k in zip(['a'], ['csv']):\n    read(f'data/{n}.{k}')",
        "from itertools import product\nfor d, n in product(['data'], 'ba'):\n    read(d + '/' + 'a' + '.csv')",
        "N = ['a', 'b']\nP = [f'data/{n}.csv' for n in N]",
        "N = {'a': 1}\nP = {n: f'data/{n}.csv' for n in N}",
        "for n in ['a']:\n    pass\nread(f'data/{n}.csv')",
        "def load(n):\n    return read('data/' + n + '.csv')\nload('a')",
        "def load(n, d='x'):\n    return read(f'{d}/{n}.csv')\nload('a', d='data')",
        "def load(n='a'):\n    return read('data/' + n + '.csv')\nload()",
        "def inner(n):\n    return read('data/' + n + '.csv')\nN = 'a'\ninner(N)",
        "class L:\n    folder = 'data'\n    def go(self):\n        return read(self.folder + '/a.csv')",
        "class L:\n    def __init__(self, n):\n        self.n = n\n    def go(self):\n        return read(f'data/{self.n}.csv')\nL('a').go()",
        "class L:\n    def go(self, n):\n        return read(f'data/{n}.csv')\nL().go('a')",
        "D = 'data' if big else 'small'\nread(D + '/a.csv')",
        "D = given or 'data'\nread(D + '/a.csv')",
    ],
)
def test_a_path_is_found_however_it_is_put_together(code: str) -> None:
    assert "data/a.csv" in found(code)


def test_numbers_of_a_loop_are_formatted() -> None:
    assert {"part_0.csv", "part_1.csv"} <= found("for i in range(2):\n    read(f'part_{i}.csv')")
    assert {"part_01.csv", "part_02.csv"} <= found("for i in [1, 2]:\n    read(f'part_{i:02d}.csv')")
    assert {"part_01.csv", "part_02.csv"} <= found("for i in range(1, 3):\n    read('part_%02d.csv' % i)")
    assert {"part_01.csv", "part_02.csv"} <= found("for i in range(1, 3):\n    read('part_{:02d}.csv'.format(i))")


def test_columns_are_no_paths() -> None:
    assert found("frame['data'][['a', 'b']]") == set()


def carried(folder: Path, code: str, **options: object) -> tuple[list[str], list[str]]:
    settings = {"known": (), "written": (), "limit_bytes": 100} | options
    entries, warnings = carry_named(program_of(code), Tree.of(folder, None), **settings)  # type: ignore[arg-type]
    return [entry.path for entry in entries], [warning.text for warning in warnings]


def test_files_and_folders_that_are_here_are_carried(tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    for name in ("data/a.csv", "data/deep/b.csv", "data/.env", "c.txt"):
        (tmp_path / name).write_text("x")
    assert carried(tmp_path, "walk('data')")[0] == ["app/data/a.csv", "app/data/deep/b.csv"]
    assert carried(tmp_path, "f('./c.txt')")[0] == ["app/c.txt"]
    assert carried(tmp_path, "f('c.txt')", known=["app/c.txt"])[0] == []
    assert carried(tmp_path, "f('c.txt')", written=["c.txt"])[0] == []
    assert carried(tmp_path, "f('nothing.txt', '.', '', '\\0', '/etc/passwd', '~', 'x' * 9)")[0] == []


@pytest.mark.parametrize(
    "code",
    [
        "import glob\nglob.glob('data/*.csv')",
        "import glob\nsorted(glob.iglob('data/*.csv'))",
        "from glob import iglob as find\nP = 'data/*.csv'\nfind(P)",
        "import glob\nglob.glob(pathname='data/[ab].csv')",
        "import glob, os\nglob.glob(os.path.join('data', '?.csv'))",
        "import glob\nglob.glob('**/*.csv', recursive=True)",
        "from pathlib import Path\nPath().rglob('*.csv')",
        "from pathlib import Path\nPath('.').glob('data/*.csv')",
        "from pathlib import Path\nPath('data/x').parent.glob('*.csv')",
        "import polars\npolars.scan_csv('data/*.csv')",
    ],
)
def test_files_that_fit_a_pattern_are_carried(tmp_path: Path, code: str) -> None:
    (tmp_path / "data").mkdir()
    for name in ("data/a.csv", "data/b.csv"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".env").write_text("x")
    assert carried(tmp_path, code)[0] == ["app/data/a.csv", "app/data/b.csv"]


def test_texts_that_are_no_patterns_carry_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")
    (tmp_path.parent / "b.csv").write_text("x")
    assert carried(tmp_path, "f('*', 'a*b', '.*', 'select * from a', '../*.csv', 'x/[', '/*.csv')") == ([], [])


def test_nothing_outside_of_the_folder_is_carried(tmp_path: Path) -> None:
    (tmp_path / "nb" / "data").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("x")
    (tmp_path / "nb" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "nb" / "data" / "link.txt").symlink_to(tmp_path / "secret.txt")
    assert carried(tmp_path / "nb", "f('../secret.txt', 'link.txt', 'data', 'data/link.txt')")[0] == []


def test_a_large_file_is_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "big.bin").write_bytes(b"x" * 101)
    entries, warnings = carried(tmp_path, "f('big.bin')")
    assert entries == []
    assert warnings == ["cell 0, line 1: big.bin has 101 bytes and is not carried"]


def test_texts_that_double_stay_small() -> None:
    lines = "\n".join(f"a{number + 1} = a{number} + a{number}" for number in range(200))
    assert max(map(len, found(f"a0 = 'xy'\n{lines}"))) < 1024


def test_a_sum_of_thousands_is_read() -> None:
    assert "aa" in found("x = " + " + ".join(["'a'"] * 2500))


def test_a_link_out_of_the_folder_is_not_carried(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_text("x")
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "folder").symlink_to(tmp_path / "out")
    (inside / "file.txt").symlink_to(tmp_path / "out" / "a.txt")
    assert carried(inside, "read('folder', 'folder/a.txt', 'file.txt')") == ([], [])
    (inside / "file.txt").unlink()
    (inside / "file.txt").write_text("x")
    assert carried(inside, "read('file.txt')") == (["app/file.txt"], []), "the control: a file of the folder is"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("os.listdir()", True),
        ("os.listdir('.')", True),
        ("os.walk(top=where)", True),
        ("glob.iglob(input())", True),
        ("glob.glob('*')", True),
        ("folder.glob('*.csv')", True),
        ("Path().iterdir()", True),
        ("glob.iglob('data/*.csv')", False),
        ("glob.glob(pathname='data/*.csv')", False),
        ("P = 'data'\nos.listdir(P)", False),
        ("Path().rglob('*.csv')", False),
        ("D = Path('data')\nsorted(D.iterdir())", False),
        ("graph.walk(x)", False),
        ("import glob as g; g.glob('data/*.csv')", False),
        ("import glob as g; g.glob(where)", True),
        ("import os as o; o.listdir()", True),
        ("from os import listdir as ls; ls(where)", True),
        ("from os import *; listdir(where)", True),
        ("from glob import glob; from math import *; glob(where)", True),
        ("from tools import walk\nwalk(where)", False),
        ("def walk(x):\n    return x\nwalk(where)", False),
        ("subprocess.getoutput('ls')", True),
        ("subprocess.getoutput('ls -la | wc -l')", True),
        ("subprocess.run('cd x; ls -t > names.txt', shell=True)", True),
        ("subprocess.getoutput('find . -name *.csv | sort')", True),
        ("subprocess.getoutput('find -name *.csv')", True),
        ("subprocess.getoutput('wc -l *')", True),
        ("subprocess.getoutput('ls data')", False),
        ("subprocess.getoutput('ls *.csv | head -2')", False),
        ("subprocess.getoutput('find data -name *.csv')", False),
        ("subprocess.getoutput('echo * && cd .')", False),
        ("subprocess.getoutput('echo it is here')", False),
        ('subprocess.getoutput("it\'s")', False),
        ("subprocess.run(['ls'])", False),
        ("subprocess.getoutput(line)", False),
    ],
)
def test_a_listing_of_no_known_place_is_told(code: str, told: bool) -> None:
    found = list(listings_unknown(program_of(code)))
    assert len(found) == told
    assert all("cell 0, line 1: files that " in text and "--include" in text for text in found)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import glob\nglob.glob('*.py')", "glob.glob('*.py') finds main.py, too"),
        ("import glob\nglob.glob('./**/*.py', recursive=True)", "finds main.py, too"),
        ("import glob\nP = '[a-z]*.py'\nglob.glob(P)", "glob.glob(P) finds"),
        ("from pathlib import Path\nsorted(Path('.').glob('m*'))", "Path('.').glob('m*') finds"),
        ("from pathlib import Path\nPath().rglob('*.py')", "finds main.py, too"),
        ("import os\nos.system('cat *.py')", "cat *.py finds"),
        ("import glob\nglob.glob('*.txt'), glob.glob('src/*.py'), glob.glob('main.py')", None),
        ("import glob\nglob.glob('*')", None),  # told with all that is not carried
        ("import re\nre.findall('*.py', text)", None),
    ],
)
def test_a_listing_that_finds_the_program_is_told(code: str, told: str | None) -> None:
    found = list(listings_of_program(program_of(code)))
    assert [told in text for text in found] == [True] if told else found == []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the working directory, with files in ``data``."""
    (tmp_path / "data" / "deep").mkdir(parents=True)
    for name in ("data/a.csv", "data/b.csv", "data/deep/c.csv"):
        (tmp_path / name).write_text("x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", sorted(known_texts._SAME))
def test_what_gives_the_same_path_does(folder: Path, name: str) -> None:
    method = getattr(Path("data/a.csv"), name, None)
    function = getattr(os.path, name, None) or getattr(os, name, None) or getattr(builtins, name, None)
    assert method or function
    if method:
        assert Path(method()).samefile("data/a.csv")
        assert found(f"from pathlib import Path; read(Path('data/a.csv').{name}())") == {"data/a.csv"}
    if function:
        assert Path(function("data/a.csv")).samefile("data/a.csv")
        assert found(f"read({name}('data/a.csv'))") == {"data/a.csv"}


@pytest.mark.parametrize("name", sorted(known_texts._OF_OS_PATH))
@pytest.mark.parametrize("path", ["data/a.csv", "data", "./data//deep/../a.csv"])
def test_parts_of_a_path_are_those_that_the_library_gives(name: str, path: str) -> None:
    above = getattr(os.path, name)(path) or "."  # seen from the folder that the program runs in
    assert found(f"import os; read(os.path.{name}({path!r}))") == {path, above}


def listed(found: Iterable[object]) -> set[str]:
    """Return the names of the files that a listing gives, whatever it gives for each."""
    names: set[str] = set()
    for one in found:
        if isinstance(one, tuple):  # what walks gives a folder, its folders and its files
            names.update(one[2])
        else:
            names.add(Path(getattr(one, "name", one)).name)  # type: ignore[call-overload]
    return {name for name in names if name.endswith(".csv")}


@pytest.mark.parametrize("path", sorted(named_files._LISTING))
def test_a_function_that_lists_files_does_and_they_are_carried(folder: Path, path: str) -> None:
    module, _, name = path.partition(".")
    given = "data/*.csv" if module == "glob" else "data"
    names = listed(getattr(importlib.import_module(module), name)(given))
    assert names
    code = f"import {module}\n{path}({given!r})"
    assert names <= {Path(one).name for one in carried(folder, code)[0]}
    assert list(listings_unknown(program_of(code))) == []
    assert len(list(listings_unknown(program_of(f"import {module}; {path}(where)")))) == 1


@pytest.mark.parametrize("name", sorted(named_files._LISTS_OF_PATHS))
def test_a_method_that_lists_files_does_and_they_are_carried(folder: Path, name: str) -> None:
    given = ["*.csv"] if name.endswith("glob") else []
    names = listed(getattr(Path("data"), name)(*given))
    assert names
    code = f"from pathlib import Path\nPath('data').{name}({', '.join(map(repr, given))})"
    assert names <= {Path(one).name for one in carried(folder, code)[0]}
    assert list(listings_unknown(program_of(code))) == []
    assert len(list(listings_unknown(program_of(f"where.{name}({', '.join(map(repr, given))})")))) == 1


@pytest.mark.parametrize(
    ("code", "warned"),
    [
        ("open(path)", "which file open(path) reads is not known"),
        ("import os\nopen(os.environ['D'] + '/a.csv')", "which file open(os.environ['D'] + '/a.csv') reads"),
        ("def load(p):\n    return open(p, 'rb')\nload(ask())", "line 2: which file open(p) reads"),
        ("open(file=path)", "which file open(path) reads"),
        ("open('a.csv')", None),
        ("P = 'a.csv'\nopen(P)", None),
        ("def load(p):\n    return open(p)\nload('a.csv')", None),
        ("open(path, 'w')", None),
        ("open(path, mode='a')", None),
        ("open(path, 'w').write('x')\nopen(path).read()", None),
        ("image.open(path)", None),
    ],
)
def test_a_reader_whose_file_nobody_knows_is_told(code: str, warned: str | None) -> None:
    said = list(readers_unknown(program_of(code)))
    assert len(said) == (warned is not None)
    assert warned is None or warned in said[0]


def test_the_files_of_a_shelf_and_of_a_database_s_url(tmp_path: Path) -> None:
    for name in ("shelf.dat", "shelf.dir", "shop.db", "other.dat"):
        (tmp_path / name).write_text("x")
    assert carried(tmp_path, "import shelve\nshelve.open('shelf')")[0] == ["app/shelf.dat", "app/shelf.dir"]
    assert carried(tmp_path, "open('shelf')")[0] == []
    assert carried(tmp_path, "create_engine('sqlite:///shop.db')")[0] == ["app/shop.db"]
    assert carried(tmp_path, "create_engine('sqlite+pysqlite:///shop.db?mode=ro')")[0] == ["app/shop.db"]
    assert carried(tmp_path, "sqlite3.connect('file:shop.db?mode=ro', uri=True)")[0] == ["app/shop.db"]
    assert carried(tmp_path, "get('https://shop.db')")[0] == []


def test_a_folder_that_a_line_of_a_shell_names(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("x")
    assert carried(tmp_path, "subprocess.run('sh run.sh data', shell=True)")[0] == ["app/data/a.txt"]
    assert carried(tmp_path, "print('the data here')")[0] == []


def test_files_that_carried_settings_name(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("a.csv", "b.csv", "c.csv"):
        (tmp_path / "data" / name).write_text("x")
    (tmp_path / "cfg.yaml").write_text("input: {train: data/a.csv, test: 'data/b.csv'}\nfolder: data\n")
    (tmp_path / "cfg.txt").write_text("data/c.csv")
    expected = ["app/cfg.yaml", "app/data/a.csv", "app/data/b.csv"]
    assert carried(tmp_path, "load('cfg.yaml')")[0] == expected
    assert carried(tmp_path, "load('cfg.yaml')", known=["app/cfg.yaml"])[0] == expected[1:]
    assert carried(tmp_path, "load('cfg.txt')")[0] == ["app/cfg.txt"]
