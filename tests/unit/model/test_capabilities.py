"""Capabilities: two builders that can do the same are equal, wherever their engines are."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from buildr_jupyter.model.capabilities import BaseRequest, Capabilities, ResolvedBase


def test_a_connection_is_no_ability() -> None:
    with_engine = Capabilities(engine=lambda: "connection")
    assert with_engine == Capabilities()
    assert repr(with_engine) == "Capabilities(in_engine=True, pushes_while_building=False)"
    assert with_engine.engine is not None
    assert with_engine.engine() == "connection"


def test_the_abilities_count() -> None:
    assert Capabilities(in_engine=False) != Capabilities()
    assert Capabilities(pushes_while_building=True) != Capabilities()


@pytest.mark.parametrize(
    ("value", "field"),
    [(Capabilities(), "in_engine"), (BaseRequest("python:3"), "name"), (ResolvedBase("python:3"), "name")],
)
def test_they_are_values(value: object, field: str) -> None:
    assert value in {value}
    with pytest.raises(FrozenInstanceError):
        setattr(value, field, "other")


def test_a_base_that_is_asked_for_was_named_and_is_not_pulled_anew() -> None:
    asked = BaseRequest("python:3")
    assert (asked.platform, asked.pull, asked.named) == (None, False, True)
    assert ResolvedBase("scratch").digest is None
