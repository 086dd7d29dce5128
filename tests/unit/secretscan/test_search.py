"""Credentials of 30 kinds in every guise are found, and the sources of well-known libraries raise no alarm."""

from __future__ import annotations

import base64
import importlib.util
import os
import pickle
import sysconfig
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from buildr_jupyter.secretscan import search
from tests.fakes.credentials import Fake, fakes

FAKES = [pytest.param(fake, id=f"{fake.kind}-{number % 3}") for number, fake in enumerate(fakes())]
PROJECT = Path(__file__).parents[3]
SUFFIXES = (".py", ".pyi", ".pyx", ".pxd", ".ipynb", ".txt", ".csv", ".rst", ".h", ".c", ".json", ".toml", ".md")
ONE_IN = 10
"""Every tenth file is read here, the same ones each time; ``make faults`` reads all."""


def kinds(content: bytes) -> set[str]:
    return {hit.kind for hit in search.search_deeply(content)}


def halves(fake: Fake) -> tuple[str, str]:
    middle = len(fake.value) * 2 // 3
    return fake.value[:middle], fake.value[middle:]


@pytest.mark.parametrize("fake", FAKES)
def test_plain(fake: Fake) -> None:
    content = ("import os\n" + fake.line + "done = True\n").encode()
    found = [hit for hit in search.search_deeply(content) if hit.kind == fake.kind]
    assert found
    assert content.count(b"\n", 0, found[0].start) == 1
    assert content[found[0].start : found[0].end].decode() in fake.value


@pytest.mark.parametrize("fake", FAKES)
def test_split_over_lines(fake: Fake) -> None:
    if "\n" in fake.value:  # a key in PEM is split over lines as it is: here its lines are strings
        text = "key = (" + "\n    ".join(repr(line + "\n") for line in fake.value.splitlines()) + ")\n"
        assert fake.kind in kinds(text.encode())
        return
    first, second = halves(fake)
    for text in (
        f'key = (\n    "{first}"\n    "{second}"\n)\n',
        f'key = "{first}" + "{second}"\n',
        f'key = "{first}" \\\n    f"{second}"\n',
        f'key = ("{first}" +\n  "{second}")\n',
        f'key = "{first}\\\n{second}"\n',
        f"note: >\n  {first}\n  {second}\n",
    ):
        assert fake.kind in kinds(text.encode()), text.replace(first, "FIRST").replace(second, "SECOND")


@pytest.mark.parametrize("fake", FAKES)
def test_base64(fake: Fake) -> None:
    packed = base64.b64encode(fake.line.encode()).decode()
    assert fake.kind in kinds(f'blob = "{packed}"\n'.encode())
    wrapped = "\n".join(textwrap.wrap(packed, 76))
    assert fake.kind in kinds(f'blob = """\n{wrapped}\n"""\n'.encode())
    joined = '"\n    "'.join(textwrap.wrap(packed, 40))
    assert fake.kind in kinds(f'blob = ("{joined}")\n'.encode())
    assert fake.kind in kinds(f'"{base64.b64encode(packed.encode()).decode()}"\n'.encode())


@pytest.mark.parametrize("fake", FAKES)
def test_inside_snapshots(fake: Fake) -> None:
    for value in (
        {"config": {"token": fake.value}},
        [fake.value.encode()],
        np.array(["x", fake.value]),
        pd.DataFrame({"a": [1, 2], "b": ["y", fake.value]}).astype(object),
        {"weights": np.arange(5000.0), "key": fake.value},
    ):
        for protocol in (2, 4, 5):
            assert fake.kind in kinds(pickle.dumps(value, protocol)), (type(value), protocol)


def test_only_the_rules_kinds_are_said_and_masks_fit() -> None:
    for fake in fakes(each=1):
        for hit in search.search(fake.line.encode()):
            assert fake.value not in repr(hit)


def sources() -> Iterator[Path]:
    roots = [Path(sysconfig.get_path("stdlib")), PROJECT / "notebooks"]
    roots += [Path(importlib.util.find_spec(name).origin).parent for name in ("numpy", "pandas", "sklearn")]
    for root in roots:
        found = []
        for folder, inner, files in os.walk(root):
            inner[:] = [name for name in inner if name not in ("site-packages", "__pycache__")]
            found += [Path(folder, name) for name in files if name.endswith(SUFFIXES)]
        yield from (path for path in sorted(found) if path.is_file())


def false_alarms(one_in: int) -> tuple[int, list[str]]:
    """Return how many files were read and where an alarm was raised."""
    chosen = [path for number, path in enumerate(sources()) if not number % one_in]
    return len(chosen), [f"{path}: {kind}" for path in chosen for kind in kinds(path.read_bytes())]


def test_the_sources_of_well_known_libraries_raise_no_alarm() -> None:
    count, alarms = false_alarms(ONE_IN)
    print(f"{count} files, {len(alarms)} alarms")
    assert count > 300
    assert not alarms
