"""The image as a function: its signature and words, and interfaces that are none; runs are in the integration tests."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pandas as pd
import pytest

from buildr_jupyter.errors import OptionError, RunError
from buildr_jupyter.model.interface import INTERFACE_LABEL, Input, Interface, Return
from buildr_jupyter.pipeline import image_function
from buildr_jupyter.pipeline.image_function import ImageFunction, image

INTERFACE = Interface(
    (
        Input("rate", "float", 0.1, description="how fast"),
        Input("rows", "list[int]", required=True),
        Input("mode", "Literal", "fast", choices=("fast", "exact")),
    ),
    (Return("model"), Return("_")),
)


class Engine:
    """The two answers of an engine that are asked for here."""

    base_url = "http+docker://localhost"

    def __init__(self, label: object, image_id: str = "sha256:1") -> None:
        self.label, self.image_id = label, image_id

    def inspect_image(self, name: str) -> dict[str, Any]:
        return {"Id": self.image_id, "Os": "linux", "Config": {"Labels": {INTERFACE_LABEL: self.label}}}


def made(label: object, monkeypatch: pytest.MonkeyPatch) -> tuple[ImageFunction, Engine]:
    engine = Engine(label)
    monkeypatch.setattr(image_function, "connect", lambda: engine)
    return image("reg.example/me/train-it:1"), engine


def test_the_interface_is_its_signature_and_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    train, _ = made(INTERFACE.to_label(), monkeypatch)
    assert train.__name__ == "train_it"
    assert str(inspect.signature(train)) == (
        "(rows: list[int], rate: float = 0.1, mode: Literal['fast', 'exact'] = 'fast')"
    )
    assert repr(train) == f"<image reg.example/me/train-it:1{inspect.signature(train)}>"
    assert (train.__doc__ or "").splitlines() == [
        "Run reg.example/me/train-it:1 and return its values.", "",
        "rate: float -- how fast", "rows: list[int]", "mode: Literal", "Returns: model, _",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda train: train(), (TypeError, "missing a required argument: 'rows'")),
        (lambda train: train([1], depth=2), (TypeError, "unexpected keyword argument 'depth'")),
        (lambda train: train([1], mode="slow"), (OptionError, '^reg.example/me/train-it:1: mode: "slow" is none of')),
        (lambda train: train([1], rate="fast"), (OptionError, 'train-it:1: rate: "fast" is no float')),
        (lambda train: train(object()), (OptionError, "rows")),
        (lambda train: train.map([]), (OptionError, "the grid has no runs")),
        (lambda train: train.map(pd.DataFrame({"rows": []})), (OptionError, "the grid has no runs")),
        (lambda train: train.map({"rows": [[1]]}), (OptionError, "train-it:1: map: it is a dict")),
        (lambda train: train.map(pd.DataFrame({"deep": [2]})), (OptionError, "'deep' is no input of the image")),
        (lambda train: train.map([{"rows": [1]}, {"rate": 2}]), (OptionError, "input 'rows' has no value")),
        (lambda train: train.map([{"rows": [1], "deep": 2}]), (OptionError, "'deep' is no input of the image")),
        (
            lambda train: train.map([{"rows": [1]}, {"rows": [1], "rate": "x"}]),
            (OptionError, '^reg.example/me/train-it:1: rate: "x"'),
        ),
    ],
    ids=range(12),
)
def test_what_is_no_input_starts_no_run(
    call: Any, says: tuple[type[Exception], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, _ = made(INTERFACE.to_label(), monkeypatch)
    with pytest.raises(says[0], match=says[1]):
        call(train)


def test_a_name_that_moved_is_another_function(monkeypatch: pytest.MonkeyPatch) -> None:
    train, engine = made(INTERFACE.to_label(), monkeypatch)
    engine.image_id = "sha256:2"
    for call in (lambda: train([1]), lambda: train.map([{"rows": [1]}])):
        with pytest.raises(RunError, match=r"^reg\.example/me/train-it:1 is another image now: sha256:2"):
            call()


def test_an_image_that_says_nothing_or_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    keyword = INTERFACE.to_json()
    keyword["inputs"][0]["name"] = "class"
    twice = INTERFACE.to_json()
    twice["inputs"][0]["name"] = "rows"
    for label, says in (
        (None, "has no label io.buildr.interface"), ("{}", "cannot be read: it is no interface of schema 1"),
        ("[" * 100_000, "cannot be read"), (json.dumps(keyword), "cannot be read"), (json.dumps(twice), "cannot be read"),
    ):  # fmt: skip
        with pytest.raises(OptionError, match=says):
            made(label, monkeypatch)
