"""What is said of an image in the store, with no engine."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from buildr_jupyter import cli
from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.commands import images
from buildr_jupyter.context import folder as context
from buildr_jupyter.errors import EngineUnavailable, OptionError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.streams import drain
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.interface import INTERFACE_LABEL, Input, Interface, Return
from buildr_jupyter.model.plan import FileEntry, ImagePlan, NameNote, Requirement
from buildr_jupyter.model.request import Archive, BuildRequest, Layout
from buildr_jupyter.oci.store import Store
from tests.fakes.registry import FakeRegistry


@pytest.fixture
def store(trial_store: Store) -> Store:
    return trial_store


@pytest.fixture
def image_id(store: Store, tmp_path: Path, small_base: Path) -> str:
    plan = ImagePlan(
        base=str(small_base), python=f"{sys.version_info.major}.{sys.version_info.minor}",
        requirements=(Requirement("six==1.17.0"),), files=(FileEntry.from_bytes("app/main.py", b"print(1)\n"),),
        notebook="nb.ipynb", cell="3",
    )  # fmt: skip
    folder = context.write_folder(plan, tmp_path / "context")
    request = BuildRequest(folder, (ImageRef.parse("trial:1"), ImageRef.parse("trial:2")), plan=plan, outputs=())
    with contextlib.closing(OciBuilder(store=store)) as builder:
        stream = builder.stream_build(request, CancelToken())
        while True:
            try:
                next(stream)
            except StopIteration as end:
                return str(end.value.image_id)


def printed(*words: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert cli.main(list(words)) == 0
    return out.getvalue()


def test_inspect_by_name_id_and_digest(image_id: str, store: Store) -> None:
    (row,) = images.inspect("trial:1", store)
    assert row["image_id"] == image_id
    assert row["packages"] == ["six==1.17.0"]
    assert row["source"] == "nb.ipynb 3"
    assert [part["title"] for part in row["parts"] if not part["base"]] == ["six", "Python environment", "program"]
    assert all(part["size_bytes"] > 0 for part in row["parts"])
    assert row["labels"]["io.buildr.content-digest"].startswith("sha256:")
    for name in (image_id, row["digests"][0]):
        (again,) = images.inspect(name, store)
        assert sorted(again["tags"]) == ["trial:1", "trial:2"]
        assert again["image_id"] == image_id


def test_the_command(image_id: str) -> None:
    assert json.loads(printed("inspect", "--json", "trial:1"))["image_id"] == image_id
    text = printed("inspect", "trial:1")
    assert "six==1.17.0" in text
    assert "nb.ipynb 3" in text
    rows = [json.loads(line) for line in printed("images", "--json").splitlines()]
    assert [(row["tags"], row["place"]) for row in rows] == [(["trial:1", "trial:2"], "store")]
    headers, first = printed("images").splitlines()
    assert headers.split() == ["IMAGE", "ID", "SIZE", "MADE", "WHERE", "FROM"]
    assert re.fullmatch(r"trial:1, trial:2 +[0-9a-f]{12} +\d+ \w+ +just now +store +nb.ipynb 3", first)


def test_inspect_shows_inputs_and_the_reasons_that_the_kept_folder_knows(
    store: Store, tmp_path: Path, small_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    interface = Interface(
        (Input("n", "int", 3, description="how many"), Input("mode", "Literal", None, True, ("a", "b"))),
        (Return("table"),),
    )
    plan = ImagePlan(
        base=str(small_base), python=f"{sys.version_info.major}.{sys.version_info.minor}",
        files=(FileEntry.from_bytes("app/main.py", b"print(1)\n", why="the program"),),
        labels=((INTERFACE_LABEL, interface.to_label()),), names=(NameNote("n", "nb.ipynb, cell 1", "parameter", "--param"),),
    )  # fmt: skip
    folder = tmp_path / "cache" / "buildr" / "contexts" / "one"
    folder.parent.mkdir(parents=True)
    context.write_folder(plan, folder)
    request = BuildRequest(folder, (ImageRef.parse("typed:1"),), plan=plan, outputs=())
    with contextlib.closing(OciBuilder(store=store)) as builder:
        drain(builder.stream_build(request, CancelToken()), lambda _event: None)
    text = printed("inspect", "typed:1")
    assert re.search(r"^inputs +--n +int +default 3 +how many\n +--mode +Literal +required +one of a, b$", text, re.M)
    assert re.search(r"^returns +table$", text, re.M)
    assert re.search(r"^names +n  parameter  nb.ipynb, cell 1  --param$", text, re.M)
    assert re.search(r"^files +app/main.py  9 bytes  the program$", text, re.M)
    assert '{"inputs"' not in text  # the label's JSON is what the lines above say
    row = json.loads(printed("inspect", "--json", "typed:1"))
    assert [(one["name"], one["type"]) for one in row["inputs"]] == [("n", "int"), ("mode", "Literal")]
    assert row["files"][0]["why"] == "the program"
    shutil.rmtree(folder)
    row = json.loads(printed("inspect", "--json", "typed:1"))
    assert "files" not in row
    assert row["inputs"][0]["default"] == 3


@pytest.mark.parametrize("where", ["saved.tar", "layout"])
def test_an_archive_or_layout_is_inspected_by_its_path(
    where: str, store: Store, tmp_path: Path, small_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an engine and without the store: what the file has, and why, where its folder is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    plan = ImagePlan(
        base=str(small_base), python=f"{sys.version_info.major}.{sys.version_info.minor}",
        requirements=(Requirement("six==1.17.0", why="import six, in cell 1"),),
        files=(FileEntry.from_bytes("app/main.py", b"print(1)\n", why="the program"),),
        labels=((INTERFACE_LABEL, Interface((Input("n", "int", 3),), ()).to_label()),),
    )  # fmt: skip
    folder = tmp_path / "cache" / "buildr" / "contexts" / "one"
    folder.parent.mkdir(parents=True)
    context.write_folder(plan, folder)
    target = tmp_path / where
    output = Archive(target) if target.suffix else Layout(target)
    request = BuildRequest(folder, (ImageRef.parse("filed:1"),), plan=plan, outputs=(output,))
    with contextlib.closing(OciBuilder(store=store)) as builder:
        built = drain(builder.stream_build(request, CancelToken()), lambda _event: None)
    (kept,) = images.inspect("filed:1", store)
    monkeypatch.setenv("BUILDR_STORE", str(tmp_path / "no store"))
    monkeypatch.chdir(tmp_path)
    row = json.loads(printed("inspect", "--json", where))
    assert row["image_id"] == built.image_id
    assert row["tags"] == ["filed:1"]
    same = ("digests", "platform", "size_bytes", "layers", "packages", "inputs", "requirements", "files", "entrypoint")
    assert {name: row[name] for name in same} == {name: kept[name] for name in same}
    assert [(part["title"], part["base"]) for part in row["parts"]][-3:] == [
        ("six", False), ("Python environment", False), ("program", False),
    ]  # fmt: skip
    assert row["parts"][0]["base"] is True
    text = printed("inspect", str(target))
    assert re.search(r"^packages +six==1.17.0$", text, re.M)
    assert re.search(r"^inputs +--n +int +default 3$", text, re.M)
    assert re.search(r"^requirements +six==1.17.0 +import six, in cell 1$", text, re.M)
    assert re.search(r"^files +app/main.py  9 bytes  the program$", text, re.M)


def test_what_is_no_archive_is_one_sentence(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match=r"there is no file or folder '.*none\.tar'"):
        images.inspect(str(tmp_path / "none.tar"), store)
    (tmp_path / "some.tar").write_bytes(b"no tar")
    with pytest.raises(OptionError, match=r"^'.*some\.tar' is no image: ") as failed:
        images.inspect(str(tmp_path / "some.tar"), store)
    assert failed.value.hint == "name a tar made by docker save or by buildr, or a folder with an OCI layout"
    with pytest.raises(OptionError, match=r"is no image: it has neither an index.json nor a manifest.json"):
        images.inspect(f"oci:{tmp_path}", store)
    monkeypatch.chdir(tmp_path)
    Path("nb.ipynb").write_text("{}")
    with pytest.raises(OptionError, match=r"^'nb.ipynb' is no image: it is no tar$"):  # and not that no engine answers
        images.inspect("nb.ipynb", store)


def test_neither_here_nor_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineUnavailable):
        images.inspect("nobody:1", store)
    with pytest.raises(EngineUnavailable):
        images.list_images(store)
    monkeypatch.setattr(images, "_of_engine", lambda _name, _wanted: None)
    with pytest.raises(OptionError, match="neither in the engine nor in the store"):
        images.inspect("nobody:1", store)


def test_a_login_for_a_namespace_is_used(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two teams of one registry, each with a login of its own; without one the registry refuses."""
    import base64

    from buildr_jupyter.errors import RegistryUnauthorized
    from tests.unit.registry.test_malformed_documents import image

    with FakeRegistry(auth="basic", user="team", password="horse") as fake:
        image(fake)
        for (_, reference), kept in list(fake.manifests.items()):
            fake.manifests["team/x", reference] = fake.manifests["other/x", reference] = kept
        auths = {
            f"{fake.host}/{name}": {"auth": base64.b64encode(f"{name}:horse".encode()).decode()}
            for name in ("team", "other")
        }
        (tmp_path / "auth.json").write_text(json.dumps({"auths": auths}))
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
        assert [row["platform"] for row in images.inspect(f"{fake.host}/team/x:1", store)] == ["linux/amd64"]
        for name in ("other/x", "x"):
            with pytest.raises(RegistryUnauthorized):
                images.inspect(f"{fake.host}/{name}:1", store)
