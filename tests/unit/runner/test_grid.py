"""Grids: order, ranges, rows, what is refused before any run, and the key of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.errors import OptionError
from buildr_jupyter.model.interface import Input, Interface, Said
from buildr_jupyter.runner.grid import INPUTS_FOLDER, content_digest, make_grid, read_rows, run_key, split_values

INTERFACE = Interface(
    (Input("rate", "float", 0.5), Input("depth", "int", 3), Input("mode", "Literal", "a", choices=("a", "b")))
)


def grid(*maps: tuple[str, str], rows: Any = (), zipped: bool = False, limit: int = 100, **more: Any) -> list[dict]:
    points = make_grid(
        more.get("interface", INTERFACE), rows, maps, zipped=zipped, limit=limit, folder=more.get("folder", Path())
    )
    return [dict(point.inputs) for point in points]


def test_the_product_has_the_order_of_the_line_the_last_fastest() -> None:
    found = grid(("rate", "0.1,1"), ("depth", "2..4"))
    assert [(one["rate"], one["depth"]) for one in found] == [
        (0.1, 2), (0.1, 3), (0.1, 4), (1.0, 2), (1.0, 3), (1.0, 4),
    ]  # fmt: skip
    assert {one["mode"] for one in found} == {"a"}


def test_pairs_and_rows() -> None:
    assert [(one["rate"], one["depth"]) for one in grid(("rate", "1,2"), ("depth", "5,6"), zipped=True)] == [
        (1.0, 5), (2.0, 6),
    ]  # fmt: skip
    rows = [{"mode": Said(text="b")}, {"mode": Said(value="a")}]
    assert [(one["mode"], one["depth"]) for one in grid(("depth", "1,2"), rows=rows)] == [
        ("b", 1), ("b", 2), ("a", 1), ("a", 2),
    ]  # fmt: skip
    with pytest.raises(OptionError, match="not as many of each: rate 2, depth 1"):
        grid(("rate", "1,2"), ("depth", "5"), zipped=True)


def test_values() -> None:
    assert split_values("x", "6..4", 9) == [Said(value=6), Said(value=5), Said(value=4)]
    assert split_values("x", "a, b", 9) == [Said(text="a"), Said(text="b")]
    assert split_values("x", '[[1, 2], "a,b"]', 9) == [Said(value=[1, 2]), Said(value="a,b")]
    assert split_values("x", "", 9) == []


@pytest.mark.parametrize(
    ("maps", "says"),
    [
        ([("depth", "")], "has no runs"),
        ([], "has no runs"),
        ([("depth", "1..10000000")], "10,000,000 runs are more than 100"),
        ([("depth", "1..20"), ("rate", "1,2,3,4,5,6")], "the grid has 120 runs, more than 100"),
        ([("depth", "1,x")], "--map depth: 'x' is no int"),
        ([("depth", "[1.5]")], "--map depth: 1.5 is no int"),
        ([("mode", "a,c")], "'c' is none of a, b"),
        ([("other", "1")], "'other' is no input of the image"),
        ([("depth", "[1")], "is no JSON list"),
    ],
)
def test_what_is_refused_before_any_run(maps: list[tuple[str, str]], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        grid(*maps)


def test_a_required_input_must_have_a_value_in_each_run() -> None:
    needs = Interface((Input("must", "Any", required=True), Input("n", "int", 1)))
    assert grid(("must", "1"), interface=needs) == [{"must": 1, "n": 1}]
    with pytest.raises(OptionError, match="input 'must' has no value"):
        grid(("n", "1"), interface=needs)


def test_rows_of_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\ufeffrate, mode\n0.1,a\n\n0.2,b\n")
    (tmp_path / "a.jsonl").write_text('{"rate": 0.1}\n\n{"rate": 2}\n')
    assert [(one["rate"], one["mode"]) for one in grid(rows=read_rows(tmp_path / "a.csv"))] == [(0.1, "a"), (0.2, "b")]
    assert [one["rate"] for one in grid(rows=read_rows(tmp_path / "a.jsonl"))] == [0.1, 2.0]
    for name, content, says in (
        ("b.csv", "a,b\n1\n", "line 2 has 1 cells, not 2"), ("b.jsonl", "{\n", "line 1 is not JSON"),
        ("c.jsonl", "[1]\n", "line 1 is no JSON object"), ("d.csv", "\udcff", "it is not UTF-8"),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(OptionError, match=says):
            read_rows(tmp_path / name)
    with pytest.raises(OptionError, match="No such file"):
        read_rows(tmp_path / "none.csv")


def test_a_row_may_hold_ends_of_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('rate,mode\n0.1,"two\nlines"\n0.2,"a \u2028 b"\n')
    (tmp_path / "a.jsonl").write_text('{"mode": "a \u2028 b \x85 c"}\n{"mode": "d"}\n')
    assert [row["mode"] for row in read_rows(tmp_path / "a.csv")] == [Said(text="two\nlines"), Said(text="a \u2028 b")]
    assert [row["mode"] for row in read_rows(tmp_path / "a.jsonl")] == [
        Said(value="a \u2028 b \x85 c"),
        Said(value="d"),
    ]
    (tmp_path / "b.csv").write_text('a,b\n"one\ntwo",2\n3\n')
    with pytest.raises(OptionError, match="line 4 has 1 cells, not 2"):
        read_rows(tmp_path / "b.csv")


def test_the_key_is_of_image_and_all_inputs_and_content_of_paths(tmp_path: Path) -> None:
    def keys(interface: Interface, *maps: tuple[str, str], image: str = "sha256:1", more: Any = ()) -> list[str | None]:
        points = make_grid(interface, (), maps, zipped=False, limit=9, folder=tmp_path)
        return [run_key(image, point, more) for point in points]

    (first,) = keys(INTERFACE, ("depth", "3"))
    assert keys(INTERFACE, ("rate", "0.5")) == [first]  # defaults are written out
    assert first not in keys(INTERFACE, ("depth", "4"))
    assert first not in keys(INTERFACE, ("depth", "3"), image="sha256:2")
    assert first not in keys(INTERFACE, ("depth", "3"), more=["env A 1"])

    paths = Interface((Input("data", "Path", "x"),))
    for name in ("one.csv", "two.csv"):
        (tmp_path / name).write_text("same")
    (point, _) = make_grid(paths, (), [("data", "one.csv,two.csv")], zipped=False, limit=9, folder=tmp_path)
    assert point.given == {"data": f"{INPUTS_FOLDER}/data/one.csv"}
    assert (point.mounts[0].source, point.mounts[0].read_only) == (tmp_path / "one.csv", True)
    before = keys(paths, ("data", "one.csv"))
    (tmp_path / "one.csv").write_text("other")
    assert keys(paths, ("data", "one.csv")) != before
    with pytest.raises(OptionError, match="does not exist"):
        keys(paths, ("data", "none.csv"))


def test_a_path_in_a_volume_is_what_it_is_and_is_not_hashed(tmp_path: Path) -> None:
    (point,) = make_grid(
        Interface((Input("data", "Path"),)), [], [("data", "/v/sub/x")],
        zipped=False, limit=1, folder=tmp_path, volumes=["/v"],
    )  # fmt: skip
    assert (point.given, point.mounts, point.identity) == ({"data": "/v/sub/x"}, (), None)


def test_the_content_of_a_folder_is_names_and_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text("x")
    assert content_digest(tmp_path / "a") == content_digest(tmp_path / "b")
    (tmp_path / "b" / "f").rename(tmp_path / "b" / "g")
    assert content_digest(tmp_path / "a") != content_digest(tmp_path / "b")
