"""Returned values as they come from an image: a manifest that lies, files that are others, pickles that nobody trusts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.errors import ReturnError
from buildr_jupyter.in_image import returns
from buildr_jupyter.runner.values import check_returned, read_returned, run_folder

SCOPE = {"a": 1, "b": {1, 2}}


def written(output: Path) -> list[Path]:
    return [path for path in output.rglob("*") if path.is_file() or path.is_symlink()]


def filled(output: Path) -> Path:
    returns.write(SCOPE, ("a", "b"), str(output))
    return output / ".buildr" / "returns"


def test_values_come_back_in_the_order_that_was_asked_for(tmp_path: Path) -> None:
    filled(tmp_path)
    found = check_returned(tmp_path, ["a", "b"], written(tmp_path))
    assert [(one.name, one.format, one.type, one.path.name) for one in found] == [
        ("a", "json", "int", "a.json"), ("b", "pickle", "set", "b.pickle"),
    ]  # fmt: skip
    assert read_returned(found, trusted=True) == (SCOPE, ())
    assert read_returned(found, trusted=False) == ({"a": 1}, (found[1],))


def change(place: Path, **changes: Any) -> None:
    path = place / "manifest.json"
    document = json.loads(path.read_text())
    document["returns"][0].update(changes)
    path.write_text(json.dumps(document))


LIES: dict[str, tuple[Callable[[Path], object], str]] = {
    "size": (lambda place: change(place, size=2), "has 1 bytes, and the manifest says 2"),
    "digest": (lambda place: change(place, sha256="0" * 64), "is not the one that the manifest names"),
    "name": (lambda place: change(place, name="../../x"), "names other values"),
    "format": (lambda place: change(place, format="../pickle"), "no such format is known"),
    "size of another type": (lambda place: change(place, size="1"), "no such format is known"),
    "content": (lambda place: (place / "a.json").write_text("2"), "is not the one that the manifest names"),
    "a link": (lambda place: ((place / "a.json").unlink(), (place / "a.json").symlink_to("/etc/hostname")), "has "),
    "a missing file": (lambda place: (place / "a.json").unlink(), "cannot be read: No such file"),
    "no JSON": (lambda place: (place / "manifest.json").write_text("{"), "cannot be read"),
    "nested": (lambda place: (place / "manifest.json").write_text("[" * 100_000), "cannot be read"),
    "another schema": (lambda place: (place / "manifest.json").write_text("[]"), "none of schema 1"),
    "a million entries": (
        lambda place: (place / "manifest.json").write_text(json.dumps({"schema": 1, "returns": [{}] * 10**6})),
        "names other values",
    ),
    "five megabytes": (lambda place: (place / "manifest.json").write_text(" " * (5 << 20)), "5,242,880 bytes"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_lies_gives_no_values(lie: str, tmp_path: Path) -> None:
    act, says = LIES[lie]
    act(filled(tmp_path))
    with pytest.raises(ReturnError, match=says):
        check_returned(tmp_path, ["a", "b"], written(tmp_path))


def test_what_an_earlier_run_left_is_no_value_of_this_one(tmp_path: Path) -> None:
    place = filled(tmp_path)
    with pytest.raises(ReturnError, match="gave nothing back"):
        check_returned(tmp_path, ["a", "b"], [])
    with pytest.raises(ReturnError, match="b: the file of its value is not of this run"):
        check_returned(tmp_path, ["a", "b"], [place / "manifest.json", place / "a.json"])


def test_a_value_that_cannot_be_read_takes_none(tmp_path: Path) -> None:
    class Gone:
        pass

    Gone.__module__, Gone.__qualname__ = "os", "GoneSince"
    os.GoneSince = Gone  # type: ignore[attr-defined]
    try:
        returns.write({"a": 1, "b": Gone()}, ("a", "b"), str(tmp_path))
    finally:
        del os.GoneSince  # type: ignore[attr-defined]
    found = check_returned(tmp_path, ["a", "b"], written(tmp_path))
    with pytest.raises(ReturnError, match=r"b \(os.GoneSince\) cannot be read here: AttributeError") as raised:
        read_returned(found, trusted=True)
    assert str(found[1].path) in (raised.value.hint or "")


def test_a_class_of_the_notebook_is_the_kernel_s(tmp_path: Path) -> None:
    class Point:
        class Inner:
            pass

    Point.__module__ = Point.Inner.__module__ = "__main__"
    Point.__qualname__, Point.Inner.__qualname__ = "Point", "Point.Inner"
    main = __import__("sys").modules["__main__"]
    main.Point = Point
    try:
        returns.write({"a": [Point(), Point.Inner()]}, ("a",), str(tmp_path))
    finally:
        del main.Point
    found = check_returned(tmp_path, ["a"], written(tmp_path))
    values, _ = read_returned(found, trusted=True, namespace={"Point": Point})
    assert [type(one) for one in values["a"]] == [Point, Point.Inner]
    with pytest.raises(ReturnError, match="the notebook has no 'Point' any more"):
        read_returned(found, trusted=True, namespace={})


def test_a_folder_for_each_run_and_none_for_a_run_without_files(tmp_path: Path) -> None:
    parent = tmp_path / "output" / "report"
    with run_folder(parent):
        pass
    assert list(tmp_path.iterdir()) == []
    with run_folder(parent) as first, run_folder(parent) as second:
        (first / "a").touch()
        (second / "b").touch()
    with run_folder(parent) as third:
        assert (first.name, second.name, third.name) == ("1", "2", "3")
    assert sorted(path.relative_to(parent).as_posix() for path in parent.rglob("*")) == ["1", "1/a", "2", "2/b"]


def test_a_folder_that_the_user_made_stays(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    with run_folder(tmp_path / "output" / "report"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["output"]


def test_where_no_folder_can_be_made_only_a_run_with_files_fails(tmp_path: Path) -> None:
    (tmp_path / "output").write_text("a file")
    with run_folder(tmp_path / "output" / "report") as folder:
        assert not folder.exists()
