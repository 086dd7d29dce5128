from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildr_jupyter.context import folder as context
from buildr_jupyter.errors import ContextError, ImageRefError
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import FileEntry, ImagePlan, NameNote, Requirement, canonical_json
from buildr_jupyter.model.request import BuildRequest

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "registry", "path", "tag", "digest"),
    [
        ("python", None, "python", None, None),
        ("python:3.11-slim", None, "python", "3.11-slim", None),
        ("me/app", None, "me/app", None, None),
        ("localhost/app:x", "localhost", "app", "x", None),
        ("127.0.0.1:5000/a/b_c/d:1.0", "127.0.0.1:5000", "a/b_c/d", "1.0", None),
        ("ghcr.io/me/app@" + DIGEST, "ghcr.io", "me/app", None, DIGEST),
        ("reg:5000/app:t@" + DIGEST, "reg:5000", "app", "t", DIGEST),
        ("[::1]:5000/app", "[::1]:5000", "app", None, None),
        ("a__b/c--d", None, "a__b/c--d", None, None),
    ],
)
def test_references_parse_and_print_back(text: str, registry: str, path: str, tag: str, digest: str) -> None:
    ref = ImageRef.parse(text)
    assert (ref.registry, ref.path, ref.tag, ref.digest) == (registry, path, tag, digest)
    assert str(ref) == text


@pytest.mark.parametrize(
    ("text", "word", "hint"),
    [
        ("My App", "white space", "my-app would do"),
        ("MyApp", "capital letters", "myapp would do"),
        ("app:" + "t" * 129, "129 characters", "at most 128"),
        ("app:", "empty", "128"),
        ("", "empty", "lower-case"),
        ("https://reg.io/app", "", ""),
        ("app@sha256:12", "not a digest", "64 hex"),
        ("reg_io.x:5000/app", "not a registry host", "host:port"),
        ("a//b", "not a repository name", "a/b would do"),
        ("-rm", "not a repository name", "rm would do"),
        ("a" * 300, "300 characters", ""),
        ("app:-x", "not a tag", "128"),
        ("app\nRUN evil", "white space", ""),
    ],
)
def test_a_bad_reference_names_itself_and_its_fault(text: str, word: str, hint: str) -> None:
    with pytest.raises(ImageRefError) as raised:
        ImageRef.parse(text)
    assert repr(text) in str(raised.value)
    assert word in str(raised.value)
    assert hint in (raised.value.hint or "")
    assert raised.value.exit_status == 2


@given(st.text(max_size=60))
def test_parsing_gives_the_text_back_or_an_error(text: str) -> None:
    try:
        assert str(ImageRef.parse(text)) == text
    except ImageRefError as error:
        assert repr(text) in str(error)  # noqa: PT017 - either outcome is right


def test_docker_hub_names_are_the_registrys_own() -> None:
    assert ImageRef.parse("python").registry_path == "library/python"
    assert ImageRef.parse("python").registry_host == "docker.io"
    assert ImageRef.parse("ghcr.io/x").registry_path == "x"
    assert str(ImageRef.parse("x").tagged()) == "x:latest"
    assert str(ImageRef.parse("a/b:1@" + DIGEST).with_tag("2")) == "a/b:2"


def plan() -> ImagePlan:
    return ImagePlan(
        base="python:3.11-slim",
        python="3.11",
        requirements=(Requirement("pandas==2.2.3", "cell 1"),),
        files=(FileEntry.from_bytes("app/main.py", b"print(1)\n", why="the cell"),),
        state=(FileEntry.from_bytes("app/state/s.pkl", b"\x80\x05N."),),
        wheels=(FileEntry.from_bytes("wheels/x-1-py3-none-any.whl", b"PK"),),
        environment=(("K", "v $x \"y\" 'z' \\ \n ü"),),
        notebook="n b.ipynb",
        cell="3",
        names=(NameNote("df", "cell 1", "code", "read by the cell"),),
    )


CHANGES = {
    "base": "python:3.12-slim",
    "base_digest": DIGEST,
    "python": "3.12",
    "platforms": ("linux/arm64",),
    "requirements": (Requirement("pandas==2.2.4"),),
    "files": (FileEntry.from_bytes("app/main.py", b"print(2)\n"),),
    "state": (),
    "environment": (("K", "other"),),
    "entrypoint": ("python", "-u", "main.py"),
    "ports": ("80/tcp",),
    "system_packages": ("libgl1",),
    "labels": (("a", "b"),),
    "user": "1001:0",
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_input_changes_the_content_digest(name: str) -> None:
    assert replace(plan(), **{name: CHANGES[name]}).content_digest != plan().content_digest


def test_reasons_and_names_do_not_change_the_content_digest() -> None:
    other = replace(
        plan(), requirements=(Requirement("pandas==2.2.3", "cell 9"),), names=(), interpreter="CPython 3.11.9"
    )
    assert other.content_digest == plan().content_digest
    assert plan().content_tag == "c-" + plan().content_digest[7:19]
    assert plan().lock_digest == "sha256:" + hashlib.sha256(b"pandas==2.2.3\n").hexdigest()


def test_a_folder_gives_the_plan_back(tmp_path: Path) -> None:
    folder = context.write_folder(plan(), tmp_path / "c")
    back = ImagePlan.from_folder(folder)
    assert back == plan()
    assert back.names == plan().names
    assert back.content_digest == plan().content_digest
    with back.files[0].open() as stream:
        assert stream.read() == b"print(1)\n"


def test_a_folder_without_a_plan_is_a_custom_dockerfile(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    custom = ImagePlan.from_folder(tmp_path).dockerfile
    assert custom is not None
    assert custom.text == "FROM scratch\n"
    (tmp_path / "buildr.json").write_text("[]")
    with pytest.raises(ContextError, match=r"buildr\.json"):
        ImagePlan.from_folder(tmp_path)
    with pytest.raises(ContextError, match="Dockerfile"):
        ImagePlan.from_folder(tmp_path / "none")


def test_canonical_json_is_one_text() -> None:
    assert canonical_json({"b": 1, "a": "ü"}) == '{"a":"ü","b":1}'.encode()
    assert json.loads(canonical_json(plan().to_json()))["schema"] == 1


def test_what_was_asked_for_goes_before_the_plan() -> None:
    plan = ImagePlan(base="kernel", python="3.11", platforms=("linux/arm64",))
    refs = (ImageRef.parse("a:1"),)
    assert BuildRequest(Path(), refs, plan, platforms=("linux/amd64",)).target_platforms == ("linux/amd64",)
    assert BuildRequest(Path(), refs, plan).target_platforms == ("linux/arm64",)
    assert BuildRequest(Path(), refs).target_platforms == ()
    assert BuildRequest(Path(), refs, plan).wants_interpreter_base
    assert not BuildRequest(Path(), refs).wants_interpreter_base
