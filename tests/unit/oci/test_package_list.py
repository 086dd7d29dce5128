from __future__ import annotations

from pathlib import Path

import pytest

from buildr_jupyter.errors import BuildError
from buildr_jupyter.model.plan import VENV
from buildr_jupyter.oci.layer import Entry, Layer, compressor, write_layer
from buildr_jupyter.oci.package_list import packages_in, python_of
from buildr_jupyter.oci.store import DamagedBlob, Store

SITE = f"{VENV.lstrip('/')}/lib/python3.11/site-packages"


def test_distributions_of_a_layer_are_read_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    files = [
        Entry.of(f"{SITE}/{name}", b"x") for name in ("b-2.0.dist-info/METADATA", "a_c-1.5.dist-info/RECORD", "a.py")
    ]
    layer, _ = store.make_layer(["t"], lambda out: write_layer(files, out, compressor("gzip")))
    assert packages_in(store, layer) == [("a_c", "1.5"), ("b", "2.0")]
    store.discard(layer.digest)
    assert packages_in(store, layer) == [("a_c", "1.5"), ("b", "2.0")], "it was noted"


def test_a_layer_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(DamagedBlob):
        packages_in(Store(tmp_path), Layer("sha256:" + "a" * 64, "sha256:" + "b" * 64, 1, 1))


def test_the_python_is_what_the_environment_says(tmp_path: Path) -> None:
    store = Store(tmp_path)
    text = b"home = /usr/local/bin\nversion = 3.11.7\n"
    entries = [Entry.of(f"{VENV.lstrip('/')}/pyvenv.cfg", text)]
    layer, _ = store.make_layer(["cfg"], lambda out: write_layer(entries, out, compressor("gzip")))
    found = python_of([layer], store)
    assert "3.11.7" in repr(found)
    other, _ = store.make_layer(["o"], lambda out: write_layer([Entry.of("app/x", b"1")], out, compressor("gzip")))
    with pytest.raises(BuildError, match="no Python environment that buildr made"):
        python_of([other], store)
