"""A decorated function on a real engine: its image takes its parameters and gives back what it returns."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient

from buildr_jupyter import image
from tests.shells import loaded_shell, run

SCRIPT = """\
import datetime as dt
import enum
from buildr_jupyter import Containerize

print("script started")

class Color(enum.Enum):
    RED = 1
    BLUE = 2

@Containerize(package={"name": "decorated-script", "quiet": True})
def train(
    n: int = 3,  # how many
    *,
    color: Color = Color.RED,
    day: dt.date = dt.date(2024, 1, 2),
    call=print,
) -> dict:
    \"\"\"Train it.\"\"\"
    call("training", n, color, day)
    return {"twice": 2 * n, "color": color.name}

if __name__ == "__main__":
    made = train()
    if not isinstance(made, dict):  # in the image it is the function that was called
        print(made.run.exit_code, made.run.values)
"""


@pytest.fixture
def data(client: APIClient, base_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("BUILDR_BASE", base_image)
    monkeypatch.setenv("BUILDR_DATA", str(tmp_path / "data"))


@pytest.fixture
def shell(data: None) -> Iterator[Any]:
    with loaded_shell() as made:
        yield made


def docker(name: str, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    command = ["docker", "run", "--rm", "-i", name, *words]
    return subprocess.run(command, capture_output=True, text=True, input=text, check=False)


def test_a_script_is_called_with_inputs_and_gives_its_value_back(data: None, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "app.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "script started\nscript started\ntraining 3 Color.RED 2024-01-02\n"
        "0 {'_': {'twice': 6, 'color': 'RED'}}\n"
    )  # fmt: skip

    name = "decorated-script:latest"
    shown = docker(name, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("usage: main.py [--NAME VALUE ...] [--params-file FILE]\n\nTrain it.\n")
    assert "  --n int\n      how many; default: 3 (BUILDR_PARAM_N)\n" in shown.stdout
    assert "  --color {RED,BLUE}\n" in shown.stdout
    assert "--call" not in shown.stdout
    bad = docker(name, "--n", "x")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr == "main.py: --n: 'x' is no int; --help lists the inputs\n"
    given = docker(name, "--params-file", "-", "--day", "2025-03-04", text='{"n": 5, "color": "BLUE"}')
    assert (given.returncode, given.stdout) == (0, "script started\ntraining 5 Color.BLUE 2025-03-04\n")

    train = image("decorated-script")
    assert train(n=4) == {"_": {"twice": 8, "color": "RED"}}
    swept = train.map([{"n": 1}, {"n": 2, "color": "BLUE"}])
    assert [one["twice"] for one in swept.values("_")] == [2, 4]
    (tmp_path / "p.json").write_text(json.dumps({"n": 7}))
    command = [sys.executable, "-m", "buildr_jupyter"]
    seen = subprocess.run([*command, "inspect", "decorated-script"], capture_output=True, text=True, check=False)
    assert "--color" in seen.stdout + seen.stderr, seen
    ran = subprocess.run(
        [*command, "run", "decorated-script", "--", "--n", "9"], capture_output=True, text=True, check=False
    )
    assert "training 9 Color.RED" in ran.stdout, ran


def test_a_notebooks_function_is_one_too(shell: Any, capfd: pytest.CaptureFixture[str]) -> None:
    run(shell, "from buildr_jupyter import Containerize\nn = 100")
    run(
        shell,
        "@Containerize(package={'name': 'decorated-cell', 'quiet': True, 'returns': '_'})\n"
        "def work(n, k=2):\n    return [n * k, rest()]\n\ndef rest():\n    return n",
    )
    needs = run(shell, "work()")
    assert needs.run is None
    assert docker("decorated-cell").stderr == "main.py: --n: a value is missing; --help lists the inputs\n"
    assert image("decorated-cell")(n=4) == {"_": [8, 100]}
    made = run(shell, "made = work(5)\nmade")
    assert made.run.values == {"_": [10, 100]}
    assert docker("decorated-cell", "--n", "1", "--k", "7").stdout == "[7, 100]\n"
