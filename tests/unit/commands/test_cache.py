"""What is kept, what a prune would remove, and what it leaves."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.commands import cache as upkeep
from buildr_jupyter.config.parse import parse_age
from buildr_jupyter.context import folder as context
from buildr_jupyter.errors import OptionError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import FileEntry, ImagePlan
from buildr_jupyter.model.request import BuildRequest
from buildr_jupyter.oci.store import Store, StoreInUse
from tests.fakes.bases import save


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("BUILDR_STORE", raising=False)
    return tmp_path / "cache" / "buildr"


def build(folder: Path, name: str, content: bytes) -> None:
    """Build an image with builder oci, and keep its context."""
    base = save(folder / "base.tar", python="3.11")
    plan = ImagePlan(base=str(base), python="3.11", files=(FileEntry.from_bytes("app/main.py", content),))
    where = context.write_folder(plan, folder / "cache" / "buildr" / "contexts" / name)
    request = BuildRequest(where, (ImageRef.parse(f"{name}:1"),), plan=plan, outputs=())
    for _ in OciBuilder().stream_build(request, CancelToken()):
        pass


def age(folder: Path, days: float) -> None:
    then = time.time() - days * 86400
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (then, then))


def said_by(**options: Any) -> str:
    said: list[str] = []
    upkeep.prune(said.append, **options)
    return "".join(said)


def is_whole(name: str) -> bool:
    """Read the image with all that it is made of."""
    store = Store()
    known = store.image(name)
    if known is None:
        return False
    manifest = json.loads(store.read(known["manifest"]))
    store.read(manifest["config"]["digest"])
    return all(store.sound(layer["digest"]) for layer in manifest["layers"])


def test_images_stay_with_all_that_they_are_made_of(tmp_path: Path) -> None:
    build(tmp_path, "one", b"print(1)\n")
    orphan = Store().put(b"no image has it")
    assert is_whole("one:1")
    Store().tag("another-name:1", Store().image("one:1") or {})
    said = said_by(yes=True)
    assert "1 image stays" in said
    assert "context " in said
    assert is_whole("one:1")
    assert not Store().has(orphan)
    assert list((tmp_path / "cache" / "buildr" / "contexts").iterdir()) == []
    assert said_by(yes=True) == "there is nothing to prune\n"
    archive = tmp_path / "cache" / "buildr" / "archives" / "a.tar"
    archive.parent.mkdir()
    archive.write_bytes(b"12345")
    assert "nothing to prune" in said_by(yes=True)
    said = said_by(yes=True, images=True)
    assert f"image {archive}  5 bytes" in said
    assert "image one:1\n" in said
    assert Store().info().images == ()
    assert Store().info().blobs == 0
    assert not archive.exists()


def test_what_is_new_stays_and_what_it_shares_with_the_old(tmp_path: Path, cache: Path) -> None:
    build(tmp_path, "old", b"print(1)\n")
    age(cache, 10)
    build(tmp_path, "new", b"print(2)\n")
    assert "nothing" in said_by(yes=True, images=True, older_than_s=parse_age("11d"))
    said = said_by(yes=True, images=True, older_than_s=parse_age("1w"))
    assert "image old:1" in said
    assert "contexts/new" not in said
    assert "new:1" not in said
    assert Store().info().images == ("new:1",)
    assert is_whole("new:1")


def test_it_asks_and_takes_no_for_no(tmp_path: Path, cache: Path) -> None:
    build(tmp_path, "one", b"print(1)\n")
    before = sorted(cache.rglob("*"))
    asked: list[str] = []
    for answer in ("", "n\n", "what?\n"):
        said = said_by(images=True, ask=lambda question, answer=answer: asked.append(question) or answer)
        assert said.endswith("nothing was removed\n")
        assert sorted(cache.rglob("*")) == before
    assert all(question.startswith("remove ") and question.endswith("? [y/N] ") for question in asked)
    with pytest.raises(OptionError, match="nobody can be asked"):
        said_by(images=True)
    assert "would be removed" in said_by(images=True, dry_run=True)
    with Store().in_use(), pytest.raises(StoreInUse):
        said_by(images=True, yes=True)
    assert sorted(path for path in cache.rglob("*") if "locks" not in path.parts) == [
        path for path in before if "locks" not in path.parts
    ]
    said_by(images=True, ask=lambda _question: "y\n")
    assert not Store().info().images


def test_verify_gives_a_verdict(tmp_path: Path) -> None:
    said: list[str] = []
    assert upkeep.verify(said.append) == 0
    assert said == [f"there is nothing to verify in {Store().folder}\n"]
    build(tmp_path, "sound", b"print(1)")
    said.clear()
    assert upkeep.verify(said.append) == 0
    blobs = Store().info().blobs
    assert said == [f"{blobs} blobs in {Store().folder}: all sound\n"]
    (blob,) = [path for path in Store().folder.glob("blobs/sha256/*") if path.stat().st_size < 2000][:1]
    blob.write_bytes(b"damaged")
    said.clear()
    assert upkeep.verify(said.append) == 1
    assert "was damaged" in said[0]


def test_what_is_kept_is_a_table_with_ages(tmp_path: Path, cache: Path) -> None:
    said: list[str] = []
    upkeep.look(said.append)
    assert said == ["nothing is kept yet\n"]
    build(tmp_path, "one", b"1")
    store = Store()
    (cache / "archives").mkdir()
    (cache / "archives" / "a.tar").write_bytes(b"x" * 2000)
    then = time.time() - 3 * 86400
    os.utime(cache / "contexts" / "one", (then, then))
    said.clear()
    upkeep.look(said.append)
    rows = [re.split(r" {2,}", line.strip()) for line in said]
    assert rows[0] == ["WHAT", "SIZE", "WRITTEN", "WHERE"]
    assert [(row[0], row[2], row[3]) for row in rows[1:-1]] == [
        ("context", "3 days ago", str(cache / "contexts" / "one")),
        ("archive", "just now", str(cache / "archives" / "a.tar")),
        ("store", "just now", str(store.folder)),
    ]
    assert rows[2][1] == "2.0 kB"
    assert said[-1] == f"in the store: {store.info().blobs} blobs, one:1\n"
