from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from dataclasses import dataclass

import pytest

from buildr_jupyter.secretscan.pickled import iter_named


@dataclass
class Login:
    user: str
    password: str


class Evil:
    """Would run code when it is read."""

    ran: list[int] = []

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.ran.append, (1,)


def named(value: object, protocol: int = 5) -> set[tuple[str, str]]:
    return set(iter_named(io.BytesIO(pickle.dumps(value, protocol))))


@pytest.mark.parametrize("protocol", range(6))
def test_texts_have_the_names_that_lead_to_them(protocol: int) -> None:
    value = {"token": "abc", "deep": {"password": "def"}, "login": Login("me", "ghi"), "order": OrderedDict(key="jkl")}
    found = {(name.rpartition(".")[2], text) for name, text in named(value, protocol)}
    assert {("token", "abc"), ("password", "def"), ("password", "ghi"), ("key", "jkl")} <= found
    assert ("user", "me") in found


def test_nothing_of_the_pickle_runs() -> None:
    assert isinstance(named({"token": "abc", "evil": Evil()}), set)
    assert Evil.ran == []


def test_what_is_no_pickle_gives_nothing_and_a_cut_one_what_was_read() -> None:
    assert list(iter_named(io.BytesIO(b"no pickle at all"))) == []
    whole = pickle.dumps({"token": "abc", "other": "x" * 100})
    assert all(isinstance(one, tuple) for one in iter_named(io.BytesIO(whole[:-40])))
