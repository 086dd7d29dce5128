"""A plan is one text: it comes back from its JSON, and its digest changes with what the image is made from, alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildr_jupyter.errors import ContextError
from buildr_jupyter.model.plan import (
    CONTENT_LABEL,
    CustomDockerfile,
    FileEntry,
    ImagePlan,
    NameNote,
    Requirement,
    canonical_json,
    image_labels,
    one_line,
)

WORDS = st.from_regex(r"[A-Za-z0-9_]{1,8}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
FILES = st.lists(
    st.builds(
        lambda name, content, mode: FileEntry.from_bytes(f"app/{name}", content, mode=mode, why="asked for"),
        WORDS, st.binary(max_size=8), st.sampled_from([0o644, 0o755]),
    ),
    max_size=3, unique_by=lambda entry: entry.path,
).map(lambda found: tuple(sorted(found, key=lambda entry: entry.path)))  # fmt: skip
PLANS = st.builds(
    ImagePlan,
    base=st.sampled_from(["python:3.12-slim", "kernel", ""]), python=st.sampled_from(["3.11", "3.13", ""]),
    base_digest=st.none() | st.just("sha256:" + "a" * 64), platforms=st.just(()) | st.just(("linux/arm/v7",)),
    system_packages=st.just(()) | st.just(("git", "libgl1=1:2.3~x")),
    requirements=st.lists(st.builds(Requirement, WORDS.map("{}==1".format), TEXTS), max_size=2).map(tuple),
    files=FILES, environment=st.lists(st.tuples(st.just("NAME"), TEXTS), max_size=1).map(tuple),
    folder=st.sampled_from(["", "nb", "a b/ü"]), ports=st.just(()) | st.just(("80/tcp",)),
    labels=st.lists(st.tuples(st.just("org.x"), TEXTS), max_size=1).map(tuple),
    dockerfile=st.none() | st.builds(CustomDockerfile, TEXTS, st.just((("A", "b"),)), st.just(("id",)), st.none() | WORDS, st.booleans()),
    notebook=st.none() | st.just("nb.ipynb"), cell=st.none() | st.just("3"),
    names=st.lists(st.builds(NameNote, WORDS, TEXTS, TEXTS, TEXTS), max_size=2).map(tuple),
)  # fmt: skip


@given(PLANS)
def test_a_plan_comes_back_from_its_json(plan: ImagePlan) -> None:
    document = json.loads(canonical_json(plan.to_json()))
    read = ImagePlan.from_json(document, Path("/nowhere"))
    assert read == plan
    assert (read.names, [r.why for r in read.requirements]) == (plan.names, [r.why for r in plan.requirements])
    assert read.content_digest == plan.content_digest == document["content_digest"]


PLAN = ImagePlan(
    base="python:3.12-slim",
    python="3.12",
    requirements=(Requirement("numpy==2.0", "imported"),),
    files=(FileEntry.from_bytes("app/main.py", b"print(1)\n"),),
    environment=(("A", "b"),),
    notebook="nb.ipynb",
    cell="3",
)


@pytest.mark.parametrize(
    "change",
    [
        {"base": "python:3.13-slim"}, {"base_digest": "sha256:" + "b" * 64}, {"python": "3.13"},
        {"platforms": ("linux/arm64",)}, {"system_packages": ("git",)}, {"requirements": ()},
        {"files": (FileEntry.from_bytes("app/main.py", b"print(2)\n"),)},
        {"files": (FileEntry.from_bytes("app/main.py", b"print(1)\n", mode=0o755),)},
        {"state": (FileEntry.from_bytes("app/state/x", b""),)}, {"environment": ()}, {"user": "0:0"},
        {"workdir": "/srv"}, {"folder": "nb"}, {"ports": ("80/tcp",)}, {"entrypoint": ("sh",)},
        {"labels": (("x", "y"),)}, {"dockerfile": CustomDockerfile("FROM scratch")},
    ],
    ids=str,
)  # fmt: skip
def test_what_the_image_is_made_from_changes_its_digest(change: dict[str, Any]) -> None:
    assert replace(PLAN, **change).content_digest != PLAN.content_digest


@pytest.mark.parametrize(
    "change",
    [
        {"notebook": "other.ipynb"}, {"cell": None}, {"interpreter": "CPython 3.12.1"},
        {"names": (NameNote("n", "o", "code", "why"),)}, {"requirements": (Requirement("numpy==2.0", "another"),)},
        {"files": (FileEntry.from_bytes("app/main.py", b"print(1)\n", why="another"),)},
    ],
    ids=str,
)  # fmt: skip
def test_names_and_reasons_do_not(change: dict[str, Any]) -> None:
    assert replace(PLAN, **change).content_digest == PLAN.content_digest


def test_digests_and_tag_are_of_their_form() -> None:
    assert PLAN.content_digest.startswith("sha256:")
    assert PLAN.content_tag == "c-" + PLAN.content_digest[7:19]
    assert replace(PLAN, base="x").lock_digest == PLAN.lock_digest, "of the requirements alone"
    assert replace(PLAN, requirements=()).lock_digest != PLAN.lock_digest


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("base",), "-x"), (("base",), "a\nRUN evil"), (("python",), "3.12\nRUN evil"), (("python",), "3.\u0661"),
        (("base_digest",), "sha256:12"), (("user",), "a b"), (("workdir",), "relative"), (("folder",), "../x"),
        (("folder",), "/etc"), (("platforms",), "linux/amd64"), (("platforms",), ["linux/amd64\nX"]),
        (("system_packages",), ["a; rm"]), (("ports",), ["80"]), (("entrypoint",), ["a\0"]),
        (("environment",), [["A B", "c"]]), (("environment",), [["A", 1]]), (("labels",), [["a=b", "c"]]),
        (("files", 0, "path"), "app/../../etc/passwd"), (("files", 0, "path"), "/etc/passwd"),
        (("files", 0, "path"), "Dockerfile"), (("files", 0, "mode"), 0o4755), (("files", 0, "mode"), True),
        (("files", 0, "bytes"), -1), (("files", 0, "sha256"), "x"), (("files", 0, "sha256"), 1),
        (("names",), [{"name": 1, "origin": "", "kind": "", "why": ""}]),
        (("requirements",), [{"requirement": None, "why": ""}]),
        (("dockerfile",), {"text": 1, "build_args": [], "secrets": [], "target": None}),
        (("dockerfile",), {"text": "", "build_args": [], "secrets": "abc", "target": None}),
        (("dockerfile",), {"text": "", "build_args": [], "secrets": [], "target": 0}),
        (("dockerfile",), {"text": "", "build_args": [["a", 1]], "secrets": [], "target": None}),
    ],
    ids=str,
)  # fmt: skip
def test_a_document_that_no_plan_writes_is_refused(path: tuple[str | int, ...], value: object) -> None:
    document = json.loads(canonical_json(PLAN.to_json()))
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(ValueError, match=r".+"):
        ImagePlan.from_json(document, Path("/nowhere"))


def test_files_of_a_folder_are_read_in_it_alone(tmp_path: Path) -> None:
    folder = tmp_path / "context"
    (folder / "app").mkdir(parents=True)
    (folder / "app" / "main.py").write_bytes(b"print(1)\n")
    (folder / "buildr.json").write_bytes(canonical_json(PLAN.to_json()))
    (entry,) = ImagePlan.from_folder(folder).files
    with entry.open() as stream:
        assert stream.read() == b"print(1)\n"
    (folder / "app" / "main.py").unlink()
    (folder / "app" / "main.py").symlink_to("/etc/hostname")
    with pytest.raises(ContextError, match=r"'app/main.py' lies outside of it"):
        entry.open()


def test_a_folder_without_a_plan_is_its_dockerfile(tmp_path: Path) -> None:
    with pytest.raises(ContextError, match="No such file or directory: Dockerfile"):
        ImagePlan.from_folder(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    assert ImagePlan.from_folder(tmp_path).dockerfile == CustomDockerfile("FROM scratch\n")
    (tmp_path / "buildr.json").write_text('{"schema": 1')
    with pytest.raises(ContextError, match="buildr.json is not ours or is damaged"):
        ImagePlan.from_folder(tmp_path)


def test_labels_are_the_plans_and_ours_sorted() -> None:
    labels = image_labels(replace(PLAN, labels=(("a", "b"), (CONTENT_LABEL, "forged"))))
    assert labels == sorted(labels)
    assert dict(labels)[CONTENT_LABEL] == replace(PLAN, labels=(("a", "b"), (CONTENT_LABEL, "forged"))).content_digest
    assert dict(labels)["io.buildr.notebook"] == "nb.ipynb"
    assert "org.opencontainers.image.base.digest" not in dict(labels)


@given(st.text(max_size=30))
def test_a_labels_value_is_one_line(text: str) -> None:
    shown = one_line(text)
    assert "\0" not in shown
    assert len(shown.splitlines()) <= 1
    assert shown == text or any(c in text for c in "\0\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")


def test_the_programs_folders() -> None:
    assert (PLAN.program_folder, PLAN.output_folder) == ("/app", "/app/output")
    assert replace(PLAN, folder="nb/daily").output_folder == "/app/nb/daily/output"
    wheel = FileEntry.from_bytes("wheels/x.whl", b"")
    assert [e.path for e in replace(PLAN, wheels=(wheel,)).all_files] == ["app/main.py", "wheels/x.whl"]
