"""The same inputs give one digest, on any day and in any process; another input gives another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.model.plan import FileEntry, ImagePlan, Requirement
from tests.integration.oci_images import PINS, build, make_plan, needs, request_for, said

ROOT = str(Path(__file__).parents[2])
MAKE = """
import sys
from pathlib import Path
from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.model.request import Layout
from buildr_jupyter.oci.store import Store
from tests.integration.oci_images import build, make_plan, request_for
folder = Path(sys.argv[1])
subject = OciBuilder(store=Store(folder / "store"))
print(build(subject, request_for(make_plan(), folder, Layout(folder / "layout")))[1].digest)
"""


def test_one_digest_everywhere(tmp_path: Path) -> None:
    needs("skopeo", "faketime")
    digests = set()
    for number, (shift, mask, environment) in enumerate(
        [
            (None, 0o022, {"LANG": "C", "PYTHONHASHSEED": "1"}),
            ("+1h", 0o027, {"LANG": "C.UTF-8", "PYTHONHASHSEED": "random", "TZ": "America/New_York"}),
            ("+400d", 0o077, {"LANG": "de_DE.UTF-8", "PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo"}),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        done = subprocess.run(
            [*(["faketime", "-f", shift] if shift else []), sys.executable, "-c", MAKE, str(folder)],
            cwd=folder, umask=mask, capture_output=True, text=True, check=False,
            env={**os.environ, **environment, "HOME": str(folder), "PYTHONPATH": ROOT},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        digests.add(done.stdout.strip())
        assert json.loads(said("skopeo", "inspect", f"oci:{folder}/layout"))["Digest"] == done.stdout.strip()
    assert len(digests) == 1


CHANGES: dict[str, Callable[[ImagePlan], ImagePlan]] = {
    "code": lambda plan: replace(plan, files=(FileEntry.from_bytes("app/main.py", b"pass"),)),
    "mode": lambda plan: replace(
        plan, files=(plan.files[0], FileEntry.from_bytes("app/data/a.csv", b"1\n", mode=0o755))
    ),
    "pin": lambda plan: replace(plan, requirements=(Requirement("six==1.16.0"),)),
    "no pin": lambda plan: replace(plan, requirements=()),
    "base": lambda plan: replace(plan, base_digest="sha256:" + "1" * 64),
    "environment": lambda plan: replace(plan, environment=(("A", "1\n2"),)),
    "entrypoint": lambda plan: replace(plan, entrypoint=("python", "-X", "dev", "main.py")),
}
"""Platform is the other input: an index's two images have different digests (test_oci_platforms.py)."""


@pytest.mark.parametrize("changed", CHANGES)
def test_each_input_counts(oci: OciBuilder, tmp_path: Path, changed: str) -> None:
    assert PINS == ("six==1.17.0",)
    first = build(oci, request_for(make_plan(), tmp_path))[1]
    other = build(oci, request_for(CHANGES[changed](make_plan()), tmp_path))[1]
    assert other.image_id != first.image_id
    assert other.content_digest != first.content_digest
    again = build(oci, request_for(make_plan(), tmp_path, no_cache=True))[1]
    assert (again.image_id, again.cached) == (first.image_id, False)


NOTEBOOK = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "buildr_jupyter")
def run(source):
    done = shell.run_cell(source, store_history=True)
    done.raise_error()
    return done.result
cell = "%%containerize again --builder oci --base kernel --quiet\\nprint(six.__version__, X)"
run("import six\\nX = 6")
first = run(cell)
run("1 + 1")
second = run(cell)
assert shell.execution_count > 4
run("X = 7")
third = run(cell)
print(first.image_id == second.image_id, second.cached, third.image_id != first.image_id)
"""


def test_another_execution_count_is_the_same_image(warm_store: Path, tmp_path: Path) -> None:
    environment = {
        "BUILDR_STORE": str(warm_store),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "IPYTHONDIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK, str(tmp_path)], cwd=tmp_path, capture_output=True,
        text=True, check=False, env={**os.environ, **environment, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "True True True"
