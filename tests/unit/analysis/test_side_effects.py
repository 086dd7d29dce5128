from __future__ import annotations

import ast

import pytest

from buildr_jupyter.analysis.side_effects import FILE, file_token
from buildr_jupyter.analysis.statements import Flow
from tests.unit.analysis.executed import last_effects
from tests.unit.analysis.test_slicer import kept


def changed(source: str) -> set[str]:
    """Return the parts of the world that the last statement changes, by their tokens."""
    flow = Flow()
    found = [flow.statement(node, cell=0) for node in ast.parse(source).body]
    return {one.info for one in found[-1].mutates if isinstance(one.info, str) and one.info.startswith("@")}


def test_a_file_is_tracked_under_its_path() -> None:
    assert (file_token("./a.txt"), file_token("a.txt"), file_token(None)) == ("@file:a.txt", "@file:a.txt", "@file:*")


@pytest.mark.parametrize(
    ("source", "token"),
    [
        ("open('a.txt', 'w')", "@file:a.txt"),
        ("from pathlib import Path\nPath('a.txt').write_text('x')", "@file:a.txt"),
        ("import os\nos.remove('./a.txt')", "@file:a.txt"),
        ("open(name, 'w')", "@file:*"),
        ("import scipy.sparse as sp\nsp.save_npz('a.npz', m)", "@maybe:a.npz"),
        ("import xml.etree.ElementTree as ET\nt = ET.ElementTree(r)\nt.write('./a.xml')", "@maybe:a.xml"),
        ("import logging\nh = logging.FileHandler('a.log')\nh.emit(x)", "@maybe:a.log"),
        ("import numpy as np\na = np.memmap('a.dat', mode='r+')\na[0] = 1", "@file:a.dat"),
        ("import tarfile\nt = tarfile.open('a.tar', 'w')\nt.add('x')", "@file:a.tar"),
    ],
)
def test_writing_a_file_changes_it(source: str, token: str) -> None:
    assert token in changed(source)


@pytest.mark.parametrize(
    "source",
    [
        "open('a.txt')",
        "import os\nos.getcwd()",
        "import json\njson.loads('1')",
        "import re\nre.match('a.txt', t)",
        "import pandas as pd\npd.read_csv('a.csv')",
        "x = []\nx.append('a.txt')",
    ],
)
def test_reading_changes_no_file(source: str) -> None:
    assert not any(token.startswith("@file:") for token in changed(source))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import io, sys\ncap = io.StringIO()\nsys.stdout = cap\nprint(1)", True),
        ("import io, sys\ncap = io.StringIO()\ndef say():\n    print(1)\nsay()\nsys.stdout = cap\nsay()", True),
        ("import io, sys\ncap = io.StringIO()\nout = open('a')\nsys.stdout = cap\nprint(1, file=out)", False),
        ("import io, sys\ncap = io.StringIO()\nold = sys.stdout\nsys.stdout = cap\nsys.stdout = old\nprint(1)", False),
        ("import io, sys\ncap = io.StringIO()\nsys.stdout = cap\nsys.stdout = sys.__stdout__\nprint(1)", False),
    ],
)
def test_what_stands_in_for_standard_output_takes_what_is_printed(source: str, expected: bool) -> None:
    flow = Flow()
    facts = [flow.statement(node, cell=0) for node in ast.parse(source).body]
    assert (not flow.env["cap"].objs.isdisjoint(facts[-1].mutates)) is expected


def test_time_that_passes_is_needed_by_what_goes_on_beside() -> None:
    assert changed("import time\ntime.sleep(1)") == set()
    assert changed("import threading, time\ntime.sleep(1)") == {"@always"}


def test_a_module_that_is_loaded_again_is_read_again() -> None:
    flow = Flow()
    source = "open('one.py', 'w').write('x = 1')\nimport one, importlib\nimportlib.reload(one)"
    facts = [flow.statement(node, cell=0) for node in ast.parse(source).body]
    assert "@file:one.py" in facts[-1].reads


def test_who_reads_a_file_first_does_not_make_it() -> None:
    flow = Flow()
    facts = flow.statement(ast.parse("rows = open('a.csv').read()").body[0], cell=0)
    assert "@file:a.csv" in facts.reads
    assert facts.binds | facts.maybe == {"rows"}


@pytest.mark.parametrize(
    ("writes", "reads"),
    [
        ("from PIL import Image\nim = Image.new('L', (2, 2))\nim.save('a.png')", "Image.open('a.png')"),
        ("from PIL import Image\nim = Image.new('L', (2, 2))\nim.save(fp='a.png')", "open('a.png', 'rb')"),
        ("import polars as pl\nd = pl.DataFrame()\np = str(d)\nd.write_csv(f'{p}.csv')", "open('a.csv')"),
        ("import cv2\nd = cv2.make()\nd.save('out/a.png')", "import os\nprint(os.listdir('out'))"),
        (
            "import logging\nh = logging.FileHandler('run.log')\nlog = logging.getLogger('f')\nlog.addHandler(h)\nlog.info('x')",
            "open('run.log')",
        ),
        ("import zipfile\nz = zipfile.ZipFile('a.zip')\nz.extractall('out')", "open('out/a.txt')"),
        ("from openpyxl import Workbook, load_workbook\nw = Workbook()\nw.save('t.xlsx')", "load_workbook('t.xlsx')"),
        ("import pandas as pd\nd = pd.DataFrame({'a': [1]})\nd.to_orc('a.orc')", "pd.read_orc('a.orc')"),
        ("import pandas as pd\nd = pd.DataFrame({'a': [1]})\nd.to_string('a.txt')", "open('a.txt')"),
        ("open('a.cfg', 'w').write('x')", "import configparser\nc = configparser.ConfigParser()\nc.read('a.cfg')"),
        ("open('a.txt', 'w').write('x')", "import networkx as nx\nnx.read_edgelist('a.txt')"),
    ],
)
def test_files_that_something_unknown_writes_or_reads(writes: str, reads: str) -> None:
    assert ast.unparse(ast.parse(writes).body[-1]) in kept(writes, reads)
    assert ast.unparse(ast.parse(writes).body[-1]) not in kept(writes, "print(1)")


def test_a_file_that_something_unknown_is_given_is_none_that_the_program_writes() -> None:
    _, facts = last_effects("import spacy\nnlp = spacy.load('model/x.bin')")
    assert {obj.info for obj in facts.mutates if str(obj.info).startswith(FILE)} <= {f"{FILE}any"}


@pytest.mark.parametrize(
    ("call", "needed"),
    [
        ("np.append(a, 3)", False),
        ("np.insert([1, 2], 0, 3)", False),
        ("np.setdiff1d(a, [1])", False),
        ("sm.add_constant(d)", False),
        ("sm.add_constant(range(3))", False),
        ("np.set_printoptions(3)", True),
        ("np.set_printoptions(**options)", True),
        ("pd.set_option(*pair)", True),
        ("pd.set_option(options['name'], 3)", True),
        ("np.seterrcall(log)", True),
        ("decimal.setcontext(a)", True),
        ("sns.set_palette(a)", True),
    ],
)
def test_what_has_a_setters_name_and_is_given_data_sets_nothing(call: str, needed: bool) -> None:
    start = (
        "import decimal\nimport numpy as np\nimport pandas as pd\nimport seaborn as sns\nimport statsmodels.api as sm\n"
        "import yaml\na = np.array([1, 2])\nd = pd.DataFrame({'x': a})\noptions = yaml.safe_load('[]')\n"
        "pair = yaml.safe_load('[]')\nclass Log:\n    def write(self, text): ...\nlog = Log()"
    )
    use = "print(np.zeros(3), pd.Series([1]), sm.OLS, decimal.Decimal(1) / 3, sns.color_palette())"
    assert (f"b = {call}" in kept(start, f"b = {call}", use)) == needed


PLOT = "import matplotlib.pyplot as plt\nfig, (a, b) = plt.subplots(1, 2)"
AGG = "import matplotlib\nmatplotlib.use('agg')\nimport matplotlib.pyplot as plt\nfig, a = plt.subplots()"


@pytest.mark.parametrize(
    ("cells", "drawn"),
    [
        ((f"{PLOT}\nplt.title('t')", "print(b.get_title())"), True),
        ((f"{PLOT}\nplt.title('t')", "print(fig.axes)"), True),
        ((PLOT, "plt.title('t')", "print(b.get_title())"), False),  # it draws on a figure of its own
        ((PLOT, "plt.sca(a)\nplt.title('t')", "print(a.get_title())"), True),
        ((PLOT, "plt.figure(fig)\nplt.title('t')", "print(fig.axes)"), True),
        ((AGG, "plt.title('t')", "print(a.get_title())"), True),
        ((AGG, "plt.title('t')", "print(plt.gca().get_title())"), True),
        ((AGG.replace("agg", "module://matplotlib_inline.backend_inline"), "plt.title('t')", "print(a)"), False),
    ],
)
def test_what_pyplot_draws_on_the_figure_of_its_cell(cells: tuple[str, ...], drawn: bool) -> None:
    assert ("plt.title('t')" in kept(*cells)) is drawn
