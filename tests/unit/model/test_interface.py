"""The interface of an image: its label and back, and labels that are none."""

from __future__ import annotations

import json

import pytest

from buildr_jupyter.model.interface import Candidate, Input, Interface, Return, option_of

WHOLE = Interface(
    (
        Input("n", "int", 3, description="how — many\u2028"),
        Input("Mode_x", "Literal", "a", choices=("a", 1)),
        Input("must", "Any", required=True),
    ),
    (Return("model"), Return("_", "json")),
)


def test_a_label_is_one_ascii_line_and_gives_the_same_back() -> None:
    label = WHOLE.to_label()
    assert label.isascii()
    assert label.splitlines() == [label]
    assert Interface.from_label(label) == WHOLE
    assert json.loads(label)["inputs"][1] == {
        "name": "Mode_x", "option": "--mode-x", "env": "BUILDR_PARAM_MODE_X", "type": "Literal", "default": "a",
        "choices": ["a", 1],
    }  # fmt: skip
    assert json.loads(label)["schema"] == 1
    assert json.loads(label)["serve"] is None


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"schema": 2, "inputs": [], "returns": []}', '{"schema": 1, "inputs": [1], "returns": []}',
        '{"schema": 1, "inputs": [{"name": "a b", "type": "int"}], "returns": []}',
        '{"schema": 1, "inputs": [{"name": "a", "type": 3}], "returns": []}',
        '{"schema": 1, "inputs": [], "returns": [{"name": "a"}]}', "[" * 100_000,
    ],
)  # fmt: skip
def test_a_label_that_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        Interface.from_label(text)


def test_words() -> None:
    assert option_of("Learning_Rate") == "--learning-rate"
    assert str(Candidate("n", "3", "nb.ipynb, cell 2, line 1")) == "n = 3, nb.ipynb, cell 2, line 1: --param n"
    assert (bool(Interface()), bool(WHOLE)) == (False, True)
