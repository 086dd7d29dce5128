"""What a cluster would refuse after the build is refused before it, by the same rules."""

from __future__ import annotations

import zoneinfo
from pathlib import Path

import pytest

from buildr_jupyter.config.cluster_text import (
    parse_label,
    parse_object_name,
    parse_queue,
    parse_timezone,
    parse_toleration,
)
from buildr_jupyter.config.options import make_options
from buildr_jupyter.errors import OptionError


@pytest.mark.parametrize("name", [None, "a", "login", "reader-2", "team.reader", "0", "a" * 253, "a-b.c-d"])
def test_names_of_objects(name: str | None) -> None:
    assert parse_object_name("--service-account", name) == name


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "a..b", ".a", "a.", "a/b", "ä", "a b", "a" * 254, "a\n"])
def test_no_names_of_objects(name: str) -> None:
    with pytest.raises(OptionError, match="--service-account: .* is no name of Kubernetes") as caught:
        parse_object_name("--service-account", name)
    assert caught.value.hint is not None
    assert "at most 253 of a-z 0-9 - and ." in caught.value.hint


def test_a_queue_stands_in_a_label() -> None:
    assert parse_queue("q" * 63) == "q" * 63
    with pytest.raises(OptionError, match="--queue"):
        parse_queue("q" * 64)


@pytest.mark.parametrize("text", ["gpu=a100", "example.com/pool=big_1.x", "disk=", "A.b-c=9"])
def test_labels(text: str) -> None:
    assert "=".join(parse_label("--node-selector", text)) == text


@pytest.mark.parametrize(
    "text", ["gpu", "=a", "a=-", "a=b c", "a=ä", f"a={'b' * 64}", f"{'b' * 64}=a", "A/b=c", "/a=b"]
)
def test_no_labels(text: str) -> None:
    with pytest.raises(OptionError, match="--node-selector: .* is no label"):
        parse_label("--node-selector", text)


def test_tolerations() -> None:
    assert parse_toleration("gpu") == ("gpu", "", "")
    assert parse_toleration("nvidia.com/gpu=yes:NoExecute") == ("nvidia.com/gpu", "yes", "NoExecute")


@pytest.mark.parametrize("text", ["", "a:Never", "a b", "a=b c", ":NoSchedule"])
def test_no_tolerations(text: str) -> None:
    with pytest.raises(OptionError, match="--toleration: .* names no taint"):
        parse_toleration(text)


def test_time_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoneinfo, "available_timezones", lambda: {"UTC", "Europe/Berlin"})
    assert [parse_timezone(name) for name in (None, "UTC", "Europe/Berlin")] == [None, "UTC", "Europe/Berlin"]
    with pytest.raises(OptionError, match="'Europe/Berln' is no time zone") as caught:
        parse_timezone("Europe/Berln")
    assert caught.value.hint == "write Europe/Berlin if you meant that"
    with pytest.raises(OptionError, match="'Mars' is no time zone"):
        parse_timezone("Mars")


def test_without_a_list_of_time_zones_only_the_form_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    assert parse_timezone("Mars/Base_1") == "Mars/Base_1"
    with pytest.raises(OptionError, match="is no time zone"):
        parse_timezone("Mars Base")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("service_account", "A_b"),
        ("queue", "a/b"),
        ("pull_secret", "Ä"),
        ("mount", ["pvc:A_B:/data"]),
        ("node_selector", ["a=b c"]),
        ("toleration", ["a b"]),
    ],
)
def test_the_options_of_a_cluster_are_looked_at(option: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=f"^--{option.replace('_', '-')}"):
        make_options({"on": "kubernetes", option: value}, base_folder=tmp_path)
