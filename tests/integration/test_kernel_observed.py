"""What a kernel was seen to do decides what is carried: values, files, packages, and cells whose text does not tell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.kernels import Kernel, client_in, kernel_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "notebooks"
    made.mkdir()
    return made


@pytest.fixture
def kernel(folder: Path) -> Iterator[Kernel]:
    with kernel_in(folder) as made:
        yield made


def test_random_values_come_as_they_are(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("import numpy as np")
    kernel.run("x = np.random.rand(5)")
    kernel.run("import random, uuid\nrng = np.random.default_rng()\ncards = list(range(30))\nrandom.shuffle(cards)")
    kernel.run("first = cards[0]\nident = uuid.uuid4()\nd = rng.random(3)\ntext = str(ident)")
    kernel.run("cards.sort()")
    body = "print(x.mean(), first, cards[0], ident, text, d, rng.random())"
    made = kernel.export(body, tmp_path / "out")
    assert made.stdout == kernel.run(body), made.stderr
    assert made.names["x"] == made.names["rng"] == made.names["ident"] == "snapshot"
    assert made.names["text"] == "code"
    assert "it came from randomness that nothing seeds" in {note["why"] for note in made.record["names"]}


def test_the_cell_that_loads_the_extension_is_observed(folder: Path, tmp_path: Path) -> None:
    with client_in(folder) as client:
        kernel = Kernel(client, folder)
        kernel.run("%load_ext buildr_jupyter\nimport random\nx = [random.random()]\nprices = [3, 5]")
        kernel.run("other = 1")
        made = kernel.export("print(x, prices)", tmp_path / "out")
        assert made.stdout == kernel.run("print(x, prices)"), made.stderr
        assert made.names == {"x": "snapshot", "prices": "code"}
        assert made.record["warnings"] == []


def test_seeded_values_stay_code(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("import numpy as np, random\nnp.random.seed(3)\nrandom.seed(4)")
    kernel.run("before = np.random.rand(2)")
    kernel.run("x = np.random.rand(5)\nrng = np.random.default_rng(1)\nn = random.random()")
    body = "x.mean(), rng.random(), n"
    made = kernel.export(body, tmp_path / "out")
    assert made.stdout == kernel.run(body), made.stderr
    assert {made.names[name] for name in ("x", "rng", "n")} == {"code"}
    assert made.record["warnings"] == []


def test_a_seed_without_a_value_is_none(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("import random\nrandom.seed(4)")
    kernel.run("random.seed()\nn = [random.random()]")
    made = kernel.export("n", tmp_path / "out")
    assert made.stdout == kernel.run("n")
    assert made.names["n"] == "snapshot"


def test_a_random_value_that_cannot_be_carried_is_code_with_a_warning(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("import random")
    kernel.run("x = [random.random(), (n for n in range(3))]")
    made = kernel.export("len(x)", tmp_path / "out")
    assert made.stdout == "2\n", made.stderr
    assert made.names["x"] == "code"
    assert any("its value cannot be carried" in text for text in made.record["warnings"])


def test_what_a_capture_runs_comes_once(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("rows = []")
    kernel.run("%%capture cap\nrows.append(1)\nprint('x')")
    made = kernel.export("print(rows, cap.stdout)", tmp_path / "out")
    assert made.stdout == "[1] x\n\n", made.stderr
    assert made.record["warnings"] == []


def test_what_a_measurement_changed_comes_as_a_value(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("import random\nrandom.seed(1)\nrows = []")
    kernel.run("%%timeit -n2 -r1\nrows.append(1)")
    kernel.run("%timeit -n2 -r1 random.random()")
    kernel.run("rows.append(5)\nx = random.random()")
    made = kernel.export("print(rows, x)", tmp_path / "out")
    assert made.stdout == kernel.run("print(rows, x)"), made.stderr
    assert made.names["x"] == "literal"
    assert made.record["warnings"] == []
    told = kernel.export("print(random.random())", tmp_path / "second").record["warnings"]
    (text,) = [text for text in told if "measured a statement that draws from random" in text]
    assert text.endswith("this cell, line 1 draws other numbers")
    kernel.run("random.seed(2)")
    again = kernel.export("print(random.random())", tmp_path / "third")
    assert again.stdout == kernel.run("print(random.random())")
    assert again.record["warnings"] == []


def test_the_clock_is_code_with_a_warning(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("import time\nstart = time.time()")
    made = kernel.export("start > 0", tmp_path / "out")
    assert made.stdout == "True\n", made.stderr
    assert made.names["start"] == "code"
    assert any("start came from the clock" in text for text in made.record["warnings"])


def test_draws_and_seeds_of_a_local_module(kernel: Kernel, folder: Path, tmp_path: Path) -> None:
    (folder / "utils.py").write_text(
        "import random\ndef prepare(n):\n    random.seed(n)\n\ndef noise():\n    return random.random()\n"
    )
    kernel.run("import utils, random")
    kernel.run("x = [utils.noise() for _ in range(3)]")
    kernel.run("utils.prepare(3)")
    body = "print(x, random.random())"
    made = kernel.export(body, tmp_path / "out")
    assert made.stdout == kernel.run(body), made.stderr
    assert made.names["x"] == "snapshot"
    assert "utils.prepare(3)" in made.record["text"]


def test_a_change_that_no_text_tells_of_keeps_its_cell(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("x = [1]\nimport gc")
    kernel.run("for one in gc.get_objects():\n    if type(one) is list and one == [1]:\n        one.append(2)")
    made = kernel.export("print(x)", tmp_path / "out")
    assert "one.append(2)" in made.record["text"]
    assert any("changed x in a way that its text does not say" in text for text in made.record["warnings"])


def test_what_may_have_changed_and_did_not_is_left_out(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("import json\nx = [1, 2]\nd = {'a': x}\nencoder = json.JSONEncoder()")
    kernel.run("text = encoder.encode(d)")
    kernel.run("encoder.encode(x); x.append(3)")
    made = kernel.export("print(x)", tmp_path / "out")
    assert made.stdout == "[1, 2, 3]\n", made.stderr
    assert "text = " not in made.record["text"]
    assert "x.append(3)" in made.record["text"]


def test_what_a_run_undid_counts_for_those_that_saw_it(kernel: Kernel, folder: Path, tmp_path: Path) -> None:
    (folder / "tools.py").write_text("def push(to):\n    to.append(5)\n")
    kernel.run("import tools\nx = [1]")
    kernel.run("tools.push(x)\nn = len(x)\nx.pop()")
    made = kernel.export("print(n, x)", tmp_path / "out")
    assert made.stdout == "2 [1]\n", made.stderr


def test_threads_that_go_on_prove_nothing(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("import threading, time\nd = {}\ngo = threading.Event()")
    kernel.run("def work():\n    go.wait()\n    d['a'] = 1\nt = threading.Thread(target=work)\nt.start()")
    kernel.run("go.set(); t.join()")
    assert kernel.run("get_ipython()._buildr_jupyter[1].runs()[2].observed.unchanged") == "frozenset()\n"


def test_names_that_a_text_does_not_bind(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("b = [0]")
    kernel.run("get_ipython().push({name: [name] for name in ('a', 'b')})")
    made = kernel.export("print(a, b)", tmp_path / "out")
    assert made.stdout == "['a'] ['b']\n", made.stderr
    assert made.names["b"] == "snapshot"


def test_files_that_carried_cells_opened(kernel: Kernel, folder: Path, tmp_path: Path) -> None:
    (folder / "data").mkdir()
    for name in ("conf.txt", "other.txt", "id_rsa"):
        (folder / "data" / name).write_text(name)
    (folder / "loader.py").write_text(
        "import os\ndef load(name):\n    with open(os.path.join('da' + 'ta', name + '.t' + 'xt')) as file:\n"
        "        return file.read()\n"
    )
    kernel.run("import loader")
    kernel.run("kept = loader.load('conf')\nunused = open(''.join(['data/oth', 'er.txt'])).read()")
    made = kernel.export("print(kept)", tmp_path / "out")
    assert made.stdout == "conf.txt\n", made.stderr
    assert made.files["app/data/conf.txt"].endswith("line 1, as observed")
    assert not {"app/data/other.txt", "app/data/id_rsa"} & set(made.files)
    kernel.run("with open('ma' + 'de', 'w') as out:\n    out.write('m')\nmade = open('ma' + 'de').read()")
    made = kernel.export("print(made)", tmp_path / "more")
    assert made.stdout == "m\n", made.stderr
    assert "app/made" not in made.files


def test_a_file_outside_of_the_project_is_told(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "far.txt").write_text("far")
    kernel.run(f"where = {str(tmp_path)!r}\nimport os")
    kernel.run("far = [open(os.path.join(where, 'far' + '.txt')).read()]")
    made = kernel.export("print(far)", tmp_path / "out")
    assert any("far.txt, which lies outside of the project" in text for text in made.record["warnings"])


def test_packages_that_a_library_loaded_by_name(kernel: Kernel, folder: Path, tmp_path: Path) -> None:
    (folder / "plugins.py").write_text(
        "import importlib\ndef version(text):\n"
        "    return importlib.import_module('noisrev.gnigakcap'[::-1]).Version(text)\n"
    )
    kernel.run("import plugins")
    kernel.run("import sys\nsys.modules.pop('packaging', None)\nsys.modules.pop('packaging.version', None)")
    kernel.run("explored = plugins.version('1.0')")  # not carried; the module is loaded once in a kernel
    body = "print(plugins.version('2.1') > plugins.version('2.0'))"
    assert kernel.run(body) == "True\n"
    made = kernel.export(body, tmp_path / "out")
    assert made.stdout == "True\n", made.stderr
    assert "loaded by plugins" in made.requirements["packaging"]


def test_an_observer_that_was_stopped_says_so(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("seen = [1]")
    kernel.run("%config ContainerizeMagics.observe = False")
    kernel.run("x = [2]")
    made = kernel.export("print(x, seen)", tmp_path / "out")
    assert made.stdout == "[2] [1]\n"
    assert any("ran unobserved" in text for text in made.record["warnings"])


def test_what_was_read_from_files_that_changed(kernel: Kernel, folder: Path, tmp_path: Path) -> None:
    (folder / "count.txt").write_text("1")
    (folder / "data.csv").write_text("2\n3\n")
    (folder / "gone.txt").write_text("gone")
    kernel.run("from pathlib import Path\nrows = Path('data.csv').read_text().split()\ngone = open('gone.txt').read()")
    kernel.run("rows = [row * 2 for row in rows]\nPath('data.csv').write_text('\\n'.join(rows))")
    kernel.run("Path('gone.txt').unlink()\np = Path('count.txt')\np.write_text(str(int(p.read_text()) + 1))")
    body = "print(rows, gone, p.read_text(), open('data.csv').read())"
    made = kernel.export(body, tmp_path / "out")
    assert made.stdout == kernel.run(body), made.stderr
    assert "app/count.txt" in made.files
    assert made.record["warnings"] == []


def test_a_module_that_is_another_one_now(kernel: Kernel, folder: Path, tmp_path: Path) -> None:
    (folder / "helper.py").write_text("def f(): return 'old'\n")
    kernel.run("import helper, importlib\na = helper.f()")
    (folder / "helper.py").write_text("def f(): return 'newer'\n")
    said = "helper.py changed after the kernel loaded it"
    assert any(said in text for text in kernel.export("print(a)", tmp_path / "one").record["warnings"])
    kernel.run("importlib.reload(helper)\nb = helper.f()")
    made = kernel.export("print(a, b, helper.f())", tmp_path / "two")
    assert made.stdout == "old newer newer\n", made.stderr
    assert not any(said in text for text in made.record["warnings"])


def test_a_log_that_the_program_makes_itself_is_not_carried(kernel: Kernel, folder: Path, tmp_path: Path) -> None:
    kernel.run("import logging\nlog = logging.getLogger('f')\nlog.addHandler(logging.FileHandler('run.log'))")
    kernel.run("log.warning('seen')")
    body = "print(open('run.log').read())"
    made = kernel.export(body, tmp_path / "out")
    assert made.stdout == kernel.run(body) == "seen\n\n", made.stderr
    assert "app/run.log" not in made.files


def test_a_text_that_comes_as_a_value_cannot_have_changed(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("%%sh --out listing\necho one\necho two")
    kernel.run("items = listing.split()")
    made = kernel.export("items", tmp_path / "out")
    assert made.stdout == "['one', 'two']\n", made.stderr
