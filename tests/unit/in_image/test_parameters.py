"""The reader of inputs: texts, JSON, where they come from, what wins, and what is refused in one sentence."""

from __future__ import annotations

import datetime as dt
import json
import math
import pathlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildr_jupyter.in_image import parameters as reader
from buildr_jupyter.model.interface import Input


def entry(kind: str, default: Any = None, **more: Any) -> dict[str, Any]:
    return Input("x", kind, default, **more).to_json()


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "7", 7), ("int", "-7", -7), ("float", "1", 1.0), ("float", "1e-3", 0.001), ("float", "-inf", -math.inf),
        ("bool", "true", True), ("bool", "False", False), ("str", "7", "7"), ("str", "", ""), ("str", "None", "None"),
        ("int | None", "None", None), ("int | None", "3", 3), ("str | None", "null", None), ("str | None", "a", "a"),
        ("list", '[1, "a"]', [1, "a"]), ("list", "['a']", ["a"]), ("list[int]", "[1, 2]", [1, 2]),
        ("list[float]", "[1, 2.5]", [1.0, 2.5]), ("dict", '{"a": 1}', {"a": 1}),
        ("dict[str, int]", '{"a": 1}', {"a": 1}), ("date", "2024-02-29", dt.date(2024, 2, 29)),
        ("datetime", "2024-02-29T10:00:00+00:00", dt.datetime(2024, 2, 29, 10, tzinfo=dt.UTC)), ("Path", "a/b", pathlib.Path("a/b")),
        ("Any", "3", 3), ("Any", "three", "three"), ("list[date]", '["2024-01-01"]', [dt.date(2024, 1, 1)]),
    ],
)  # fmt: skip
def test_a_text_becomes_a_value_of_its_type(kind: str, text: str, value: Any) -> None:
    found = reader.to_python(entry(kind), reader.from_text(entry(kind), text))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("int", "x"), ("int", "1.5"), ("int", "true"), ("int", ""), ("int", "1e3"), ("float", "x"), ("bool", "1"),
        ("bool", "yes"), ("list", "{}"), ("list[int]", '["a"]'), ("dict", "[]"), ("dict[str, int]", '{"a": "b"}'),
        ("date", "2024-02-30"), ("datetime", "noon"), ("Path", ""), ("int | None", "x"), ("list", "[" * 100_000),
        ("float", "1" + "0" * 400),
    ],
)  # fmt: skip
def test_a_text_of_another_type_is_refused(kind: str, text: str) -> None:
    with pytest.raises(reader.Refused, match="is no"):
        reader.from_text(entry(kind), text)


def test_choices() -> None:
    mode = entry("Literal", "fast", choices=("fast", 1, True, None))
    assert [reader.from_text(mode, text) for text in ("fast", "1", "true", "None")] == ["fast", 1, True, None]
    assert reader.accept(mode, 1) == 1
    assert reader.accept(mode, True) is True
    for refused in (lambda: reader.from_text(mode, "slow"), lambda: reader.accept(mode, 1.0)):
        with pytest.raises(reader.Refused, match="is none of"):
            refused()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_comes_through_a_file_as_it_is(value: Any) -> None:
    found = reader.gather([entry("Any")], ["--params-file", "-"], {}, lambda _: json.dumps({"x": value}))
    assert json.dumps(found) == json.dumps({"x": value})


def test_the_command_line_wins_then_the_environment_then_the_file() -> None:
    inputs = [Input(name, "int", 0).to_json() for name in ("a", "b", "c", "d", "e")]
    file = json.dumps({"a": 1, "b": 1, "c": 1, "d": 1})
    environment = {"BUILDR_PARAM_A": "3", "BUILDR_PARAM_B": "3", "BUILDR_PARAMS": json.dumps({"a": 2, "b": 2, "c": 2})}
    words = ["--params-file=f.json", "--a=4"]
    asked = []
    found = reader.gather(inputs, words, environment, lambda name: asked.append(name) or file)
    assert found == {"a": 4, "b": 3, "c": 2, "d": 1}
    assert asked == ["f.json"]


@pytest.mark.parametrize(
    ("words", "environment", "says"),
    [
        (["--y", "3"], {}, "'--y' is no input"),
        (["3"], {}, "'3' is no input"),
        (["--x"], {}, "--x: a value is missing"),
        ([], {}, "--x: a value is missing"),
        (["--x", "a"], {}, "--x: 'a' is no int"),
        ([], {"BUILDR_PARAM_X": "a"}, "BUILDR_PARAM_X: 'a' is no int"),
        ([], {"BUILDR_PARAMS": "["}, "BUILDR_PARAMS: it is not JSON"),
        ([], {"BUILDR_PARAMS": "[]"}, "BUILDR_PARAMS: a JSON object is wanted"),
        ([], {"BUILDR_PARAMS": '{"y": 1}'}, "BUILDR_PARAMS: 'y' is no input"),
        ([], {"BUILDR_PARAMS": '{"x": "1"}'}, 'BUILDR_PARAMS: x: "1" is no int'),
        (["--params-file", "no/such/file"], {}, "--params-file no/such/file: No such file"),
    ],
)
def test_wrong_use_is_one_sentence(words: list[str], environment: dict[str, str], says: str) -> None:
    with pytest.raises(reader.Refused) as raised:
        reader.gather([entry("int", required=True)], words, environment, reader._read_file)
    assert str(raised.value).startswith(says)
    assert "\n" not in str(raised.value)


def test_the_help_names_types_defaults_and_descriptions() -> None:
    shown = reader.render_help("nb.ipynb, cell 1", [
        Input("rate", "float", 0.5, description="how fast").to_json(),
        Input("mode", "Literal", "a", choices=("a", "b")).to_json(), entry("Any", required=True),
    ])  # fmt: skip
    assert "  --rate float\n      how fast; default: 0.5 (BUILDR_PARAM_RATE)\n" in shown
    assert '  --mode {a,b}\n      default: "a" (BUILDR_PARAM_MODE)\n' in shown
    assert "  --x Any\n      required (BUILDR_PARAM_X)\n" in shown
