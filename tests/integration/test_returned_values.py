"""Values in, values out, on a real engine: the magic binds what a run gave back, the image takes inputs in each way."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient

from buildr_jupyter import image
from buildr_jupyter.errors import OptionError, RunError
from tests.same_values import difference
from tests.shells import loaded_shell, run
from tests.unit.export.test_exporter import cases
from tests.unit.export.test_odd_values import wanted


@pytest.fixture
def shell(client: APIClient, base_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("BUILDR_BASE", base_image)
    monkeypatch.setenv("BUILDR_DATA", str(tmp_path / "data"))
    with loaded_shell() as made:
        yield made


def test_a_run_gives_its_values_back_and_the_image_is_a_function(
    shell: Any, client: APIClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(shell, "class P:\n    def __init__(self, n): self.n = n")
    run(shell, "n: int = 3  # how many\nrows = None")
    cell = "%%containerize fn --run --param n --return model --return rows --return _\n"
    cell += "model, rows = P(n), [n, {'a': None}]\nn * 2"
    result = run(shell, cell)
    assert result.run.exit_code == 0
    assert (shell.user_ns["model"].n, shell.user_ns["rows"]) == (3, [3, {"a": None}])
    assert type(shell.user_ns["model"]) is shell.user_ns["P"]
    assert result.run.values["_"] == 6
    assert result.run.outputs == ()

    # What a run gave back is the value that the next program takes, not the older code.
    again = run(shell, "%%containerize next --run --return seen\nseen = (rows[0], rows[1]['a'])")
    assert again.run.values == {"seen": (3, None)}

    label = client.inspect_image("fn:latest")["Config"]["Labels"]["io.buildr.interface"]
    assert [one["name"] for one in json.loads(label)["inputs"]] == ["n"]
    docker = ["docker", "run", "--rm", "-i", "fn:latest"]
    assert "how many; default: 3" in subprocess.run([*docker, "--help"], capture_output=True, text=True).stdout
    bad = subprocess.run([*docker, "--n", "x"], capture_output=True, text=True)
    assert (bad.returncode, bad.stderr) == (2, "main.py: --n: 'x' is no int; --help lists the inputs\n")
    given = subprocess.run([*docker, "--params-file", "-"], input='{"n": 5}', capture_output=True, text=True)
    assert given.stdout == "10\n"

    # The same image, built by no kernel that is known: a pickle stays a file, and nothing is bound.
    magics = shell._buildr_jupyter[0]
    magics._made_here.clear()
    monkeypatch.setenv("BUILDR_DATA", str(tmp_path / "other"))
    shell.user_ns["model"] = shell.user_ns["rows"] = None
    cached = run(shell, cell)
    assert cached.cached
    assert set(cached.run.values) == {"rows", "_"}
    assert shell.user_ns["model"] is shell.user_ns["rows"] is None
    trusted = run(shell, cell.replace("--run", f"--run --trust-image {cached.image_id}"))
    assert trusted.run.values["model"].n == 3

    before = dict(shell.user_ns)
    with pytest.raises(RunError) as raised:
        run(shell, "%%containerize bad --run --return model\nmodel = (i for i in 'a')")
    assert any("buildr: --return model (generator)" in line for line in raised.value.log_tail)
    assert shell.user_ns["model"] is before["model"]


def test_an_image_is_called_and_mapped_as_a_function(
    shell: Any, client: APIClient, capsys: pytest.CaptureFixture[str]
) -> None:
    run(shell, "n: int = 3  # how many")
    run(shell, "%%containerize double\nprint(n)")
    with pytest.raises(OptionError, match="it has no label") as refused:
        image("double")
    assert "build it with --param NAME" in str(refused.value.hint)
    run(shell, "%%containerize double --param n --return twice\nprint('at work')\ntwice = 2 * n\nassert n >= 0")
    double = image("double")
    capsys.readouterr()
    assert double() == {"twice": 6}
    assert double(n=5) == {"twice": 10}
    assert capsys.readouterr().out == "at work\n" * 2

    swept = double.map([{"n": 1}, {"n": -1}, {"n": 4}])
    assert [run.state for run in swept] == ["done", "failed", "done"]
    assert swept.values("twice") == [2, None, 8]
    again = double.map([{"n": 4}, {"n": 2}])
    assert [(run.reused, run.values["twice"]) for run in again] == [(True, 8), (False, 4)]

    with pytest.raises(RunError, match="status 1") as raised:
        double(n=-2)
    assert "AssertionError" in "\n".join(raised.value.log_tail) + capsys.readouterr().err
    run(shell, "%%containerize double --param n --return twice\ntwice = 3 * n")
    with pytest.raises(RunError, match="is another image now"):
        double()
    assert image("double:latest")(n=2) == {"twice": 6}


VALUES = """\
class Point:
    def __init__(self, x): self.x = x

class Color(enum.Enum):
    RED = 1
"""
ODD = """\
odd = [math.nan, -0.0, math.inf, {1: (2, {3}), None: b'x'}, 1j, range(3), frozenset('a'), '\\udcff', 10**5000]
made = {'point': Point([1]), 'color': Color.RED, 'when': dt.datetime(2024, 1, 2, tzinfo=dt.timezone.utc)}
loop = [made]
loop.append(loop)
kinds = collections.OrderedDict(a=collections.Counter('aab'), d=collections.deque([1], 2))
kind, function = Point, dump
(odd[1], made['point'])
"""


def test_odd_values_come_back_as_a_kernel_has_them(shell: Any) -> None:
    """As ``tests/unit/export/test_odd_values.py`` does for each cell of tests/data/cells, on the real engine."""
    run(shell, "import collections, enum, math\nimport datetime as dt\nfrom json import dump")
    run(shell, VALUES)
    names = ("odd", "made", "loop", "kinds", "kind", "function", "_")
    made = run(shell, f"%%containerize odd --run {' '.join(f'--return {name}' for name in names)}\n{ODD}")
    back = {name: shell.user_ns.get(name) for name in names if name != "_"}
    last = run(shell, ODD)
    assert {name: difference(back[name], shell.user_ns[name]) for name in back} == dict.fromkeys(back, "")
    assert difference(made.run.values["_"], last) == ""


@pytest.mark.parametrize("name", ["append_alias", "items_changed", "bytearray_ext", "registry_class"])
def test_an_odd_cell_gives_back_what_the_kernel_has(shell: Any, name: str) -> None:
    (sources,) = [one.values[0] for one in cases() if one.id == name]
    for source in sources[:-1]:
        run(shell, source)
    before = {one: shell.user_ns[one] for one in wanted(sources) if one in shell.user_ns}
    words = " ".join(f"--return {one}" for one in before if not callable(before[one]))
    result = run(shell, f"%%containerize odd-cell --run {words}\n{sources[-1]}")
    assert result.run.values
    assert {one: difference(value, before[one]) for one, value in result.run.values.items()} == dict.fromkeys(
        result.run.values, ""
    )
