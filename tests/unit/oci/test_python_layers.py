"""Packages as layers: RECORD is believed only where the files agree; who installed them leaves no trace."""

from __future__ import annotations

import hashlib
import sys
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from buildr_jupyter.errors import BuildError
from buildr_jupyter.oci import python_layers
from buildr_jupyter.oci.layer import Entry, compressor
from buildr_jupyter.oci.store import Store

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def install(site: Path, name: str = "demo", *, installer: str = "uv", tag: str = "py3-none-any", **files: str) -> Path:
    """Write a distribution as an installer would, with a command in bin/."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    command = site.parents[2] / "bin" / name
    command.parent.mkdir(exist_ok=True)
    command.write_text(f"#!/home/me/{installer}/bin/python\nx\n")
    content = {
        f"{name}/__init__.py": "x = 1\n",
        f"{info.name}/METADATA": f"Name: {name}\nVersion: 1.0\n",
        f"{info.name}/WHEEL": f"Tag: {tag}\n",
        f"{info.name}/entry_points.txt": f"[console_scripts]\n{name} = {name}.cli:main\n",
        **files,
    }
    lines = []
    for path, text in content.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
        digest = urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        lines.append(f"{path},sha256={digest},{len(text)}")
    lines.append(f"../../../bin/{name},sha256=abc,{len(command.read_text())}")
    if installer == "pip":
        (info / "INSTALLER").write_text("pip\n")
        lines += [f"{info.name}/INSTALLER,sha256=zuuue,4", f"{name}/__pycache__/__init__.cpython-311.pyc,,"]
    lines.append(f"{info.name}/RECORD,,")
    (info / "RECORD").write_text("\n".join(lines) + "\n")
    return info


def site_in(folder: Path) -> Path:
    made = folder / "lib" / "python3.11" / "site-packages"
    made.mkdir(parents=True)
    return made


def content_of(entry: Entry) -> bytes:
    assert entry.open
    with entry.open() as stream:
        return stream.read()


def test_uvs_and_pips_installation_give_one_layer(tmp_path: Path) -> None:
    layers = []
    for installer in ("uv", "pip"):
        site = site_in(tmp_path / installer)
        install(site, installer=installer)
        (found,) = python_layers.iter_found(site)
        layers.append(
            python_layers.make(Store(tmp_path / f"store-{installer}"), "demo", [found], PYTHON, compressor())[0]
        )
    assert layers[0] == layers[1]


def test_commands_run_the_images_interpreter(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    install(site)
    (found,) = python_layers.iter_found(site)
    entries = {entry.path: entry for entry, _ in python_layers.iter_entries(found, PYTHON)}
    command = entries["opt/venv/bin/demo"]
    assert command.mode == 0o755
    assert content_of(command).startswith(b"#!/opt/venv/bin/python\nimport sys\nfrom demo.cli import main\n")
    record = content_of(entries[f"opt/venv/lib/python{PYTHON}/site-packages/demo-1.0.dist-info/RECORD"]).decode()
    assert "/home/me" not in record
    assert {line.split(",")[0] for line in record.splitlines()} == {path for path, _, _ in found.rows} | {
        "demo-1.0.dist-info/RECORD"
    }


def test_a_file_that_is_not_what_record_says(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    install(site)
    (site / "demo" / "__init__.py").write_text("y = 1\n")
    (found,) = python_layers.iter_found(site)
    with pytest.raises(BuildError, match=r"demo/__init__.py is not what was recorded"):
        python_layers.make(Store(tmp_path / "store"), "demo", [found], PYTHON, compressor())
    (site / "demo" / "__init__.py").unlink()
    with pytest.raises(BuildError, match=r"lacks demo/__init__.py"):
        python_layers.make(Store(tmp_path / "store"), "demo", [found], PYTHON, compressor())


def test_record_that_points_outside_is_refused(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    info = install(site)
    with (info / "RECORD").open("a") as record:
        record.write("../../../../../etc/passwd,sha256=abc,1\n")
    (found,) = python_layers.iter_found(site)
    with pytest.raises(BuildError, match="outside of the environment"):
        python_layers.make(Store(tmp_path / "store"), "demo", [found], PYTHON, compressor())


def test_only_the_very_same_wheels_are_taken_from_here(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    install(site)
    install(site, "built-here", tag="cp311-cp311-linux_x86_64")
    assert [one.name for one in python_layers.installed_here(["Demo==1.0"], [site]) or []] == ["demo"]
    for pins in (["demo==1.1"], ["built-here==1.0"], ["demo @ git+https://example.org/x"], ["demo>=1"]):
        assert python_layers.installed_here(pins, [site]) is None
    (site / "demo-1.0.dist-info" / "direct_url.json").write_text("{}")
    assert python_layers.installed_here(["demo==1.0"], [site]) is None


def test_large_ones_get_a_layer_of_their_own(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    for name in ("b", "a", "c"):
        install(site, name)
    found = list(python_layers.iter_found(site))
    large = python_layers.Found("big", "2.0", site, "big-2.0.dist-info", (("big/x.so", "", python_layers.LARGE_BYTES),))
    assert [(title, [one.name for one in members]) for title, members in python_layers.group([*found, large])] == [
        ("big 2.0", ["big"]),
        ("a, b, c", ["a", "b", "c"]),
    ]
