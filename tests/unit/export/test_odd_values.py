"""Each odd cell of tests/data/cells: the values that its program gives back are those that a kernel has, type for type.

What cannot be carried is refused as such, by its name, and nothing else is.
"""

from __future__ import annotations

import ast
import collections
import copy
import dis
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from buildr_jupyter.errors import BuildrError
from buildr_jupyter.export.options import ExportOptions
from tests.same_values import difference
from tests.unit.export.test_exporter import SERVER, cases, libraries_of, program_of, runs_of
from tests.unit.export.test_program import write

ROOT = Path(__file__).parents[3]
QUIET = """
import warnings
warnings.simplefilter("ignore")
"""
PROGRAM = SERVER.format(
    prepare=QUIET,
    work="""
sys.argv = ["main.py"]
try:
    runpy.run_path("main.py", run_name="__main__")
except SystemExit as end:
    sys.stderr.flush()
    os._exit(end.code or 0)
""",
)
KERNEL = SERVER.format(
    prepare=QUIET
    + """
sys.path.insert(1, os.getcwd())
import copy
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.text import SList
from buildr_jupyter.in_image import returns
from tests.same_values import difference
from traitlets.config import Config
shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))  # its thread is in no child
""",
    work="""
place = os.path.abspath("..")
for number, cell in enumerate(request["cells"], 1):
    if number == len(request["cells"]):
        shell.displayhook.quiet = lambda: False  # what stands before a semicolon is the last value, too
    last = shell.run_cell(cell, store_history=True)
names, found, told = {**shell.user_ns, "_": last.result}, {}, {}
def judge(name, form, path):
    if name not in names:
        return "no such name"
    value, kernels = returns.read_value(path, form, shell.user_ns), names[name]
    if form == "png":
        return "" if hasattr(kernels, "savefig") and value.startswith(b"\\x89PNG") else "no picture"
    if type(kernels) is SList:
        kernels = list(kernels)  # in the image, where no IPython is, the lines of a command are a plain list
    # What a class's own copying leaves out, such as where an iterator that is at its end has been, nothing carries.
    return difference(value, kernels) and difference(value, copy.deepcopy(kernels))
for name, (form, path) in request["given"].items():
    found[name] = judge(name, form, path)
    if found[name]:
        os.makedirs(f"{place}/told/{name}")
        try:
            entry = returns.write_value(name, names[name], f"{place}/told/{name}")
            path = f"{place}/told/{name}/{name}.{returns.EXTENSIONS[entry['format']]}"
            told[name] = entry["format"], path
        except returns.NotCarried:
            pass
for name in request["refused"]:
    if name in names:
        os.makedirs(f"{place}/tried", exist_ok=True)
        try:
            returns.write_value(name, names[name], f"{place}/tried")
            found[name] = f"{names[name]!r} was refused"
        except returns.NotCarried:
            pass
print(file=sys.stderr)
with open(f"{place}/judged", "w") as stream:
    found = {name: text for name, text in found.items() if text}
    json.dump({"ok": last.success, "found": found, "told": told}, stream)
os._exit(0)  # without taking apart all that the parent had imported
""",
)


def serve(code: str, own: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "NO_COLOR": "1"}
    environment["IPYTHONDIR"] = str(own)
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    yield from serve(PROGRAM, tmp_path_factory.mktemp("ipython"))


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    yield from serve(KERNEL, tmp_path_factory.mktemp("ipython"))


@pytest.fixture(scope="module")
def other_kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """Kernels of a process of its own, whose addresses are others, too."""
    yield from serve(KERNEL, tmp_path_factory.mktemp("ipython"))


def ask(server: subprocess.Popen[str], **request: Any) -> int:
    assert server.stdin
    assert server.stdout
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    return int(server.stdout.readline())


def wanted(sources: list[str]) -> list[str]:
    """Return the names that the cells give values, and ``_`` where the last ends in an expression."""
    names: dict[str, None] = {}
    for run in runs_of(sources):
        text = run.transformed or ""
        code = compile(text, "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        stored = [one.argval for one in dis.get_instructions(code) if one.opname in ("STORE_NAME", "STORE_GLOBAL")]
        tree = ast.parse(text)
        imported = [
            (one.asname or one.name).partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for one in node.names
        ]
        names.update(dict.fromkeys(one for one in stored if one not in imported and not one.startswith("__")))
    ends = isinstance(tree.body[-1], ast.Expr) if tree.body else False
    return [*(one for one in names if one != "_"), *(["_"] if ends else [])]


def returned(
    sources: list[str], names: list[str], folder: Path, programs: subprocess.Popen[str]
) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """Return (format, path) of each value that came back, by name, and why the others did not."""
    refused: dict[str, str] = {}
    app = folder / "program" / "app"
    app.mkdir(parents=True)
    while True:
        left = tuple(name for name in names if name not in refused)
        try:
            program = program_of(sources, ExportOptions(returns=left))
        except BuildrError as error:
            text = str(error)
        else:
            write(program, app)
            status = ask(programs, folder=str(app), libraries=libraries_of(sources))
            if status == 0:
                break
            text = (app.parent / "err").read_text()
        said = re.search(r"^(?:buildr: )?--return (\w+)(?::| \()", text.strip().splitlines()[-1] if text else "")
        assert said, text
        assert said[1] in left, text
        refused[said[1]] = text
    place = app / "output" / ".buildr" / "returns"
    entries = json.loads((place / "manifest.json").read_text())["returns"] if left else []
    extensions = {one.stem: one for one in place.glob("*.*")}
    return {one["name"]: (one["format"], str(extensions[one["name"]])) for one in entries}, refused


@pytest.mark.parametrize(("sources", "expected"), [one for one in cases() if one.values[1].isdigit()])
def test_what_comes_back_is_what_the_kernel_has(
    sources: list[str],
    expected: str,
    tmp_path: Path,
    programs: subprocess.Popen[str],
    kernels: subprocess.Popen[str],
    request: pytest.FixtureRequest,
) -> None:
    given, refused = returned(sources, wanted(sources), tmp_path, programs)
    judged = judge(sources, given, list(refused), tmp_path / "kernel", kernels)
    assert judged["ok"]
    found = judged["found"]
    # Names whose values are others in each kernel are none to compare: times, and numbers that nothing seeds.
    # A zip's times are in steps of two seconds: a kernel that ran in the same step as the first is asked again later.
    for attempt, pause in (("again", 0.0), ("later", 2.1)):
        if found:
            time.sleep(pause)
            others = request.getfixturevalue("other_kernels")
            varies = judge(sources, judged["told"], [], tmp_path / attempt, others)["found"]
            found = {name: text for name, text in found.items() if name not in varies}
    assert found == {}, refused


def judge(
    sources: list[str],
    given: dict[str, Any],
    refused: list[str],
    place: Path,
    kernels: subprocess.Popen[str],
) -> dict[str, Any]:
    """Return what a kernel that runs the cells says of these values: whether they ran, and what differs, by name."""
    folder = place / "app"
    folder.mkdir(parents=True)
    request = {"folder": str(folder), "libraries": libraries_of(sources), "cells": sources}
    assert ask(kernels, **request, given=given, refused=refused) == 0, (place / "err").read_text()
    judged: dict[str, Any] = json.loads((place / "judged").read_text())
    return judged


class Own:
    def __init__(self, value: object) -> None:
        self.value = value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.0, -0.0), (1, True), ([10**5000], [10**5000 + 1]), ([1], [1.0]), ({1}, {True}), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ((1,), [1]),
        (np.int32(1), np.int64(1)), (np.zeros(2, ">i4"), np.zeros(2, "<i4")), (np.array([1, None]), np.array([1.0, None])),
        (pd.Series(["a"]), pd.Series(["a"], dtype="category")), (pd.Index([1], name="a"), pd.Index([1])),
        (pd.DataFrame({"a": [0.0]}), pd.DataFrame({"a": [-0.0]})), (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1]}, ["x"])),
        (Own([1]), Own([True])), (collections.Counter("a"), {"a": 1}), (iter([1, 2]), iter([1])),
    ],
)  # fmt: skip
def test_a_difference_is_seen(one: object, other: object) -> None:
    assert difference(one, other)
    assert difference(one, copy.deepcopy(one)) == ""


def test_what_holds_itself_and_what_is_no_number_is_the_same() -> None:
    def loop() -> list[Any]:
        made: list[Any] = [math.nan, np.float32("nan")]
        made.append(made)
        return made

    assert difference(loop(), loop()) == ""
