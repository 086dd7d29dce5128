"""Jobs of a cluster: their owner, what goes with them, and the wait for their end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildr_jupyter.cluster.jobs import await_gone, created_at, make_owned_secret, owner_name
from buildr_jupyter.errors import ClusterNotFound, EngineError, RunError
from buildr_jupyter.model.json_object import JsonObject
from tests.fakes.cluster import FakeCluster


class Going:
    """A client whose Job and pod go after so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def get(self, kind: str, name: str) -> JsonObject:
        self.looks -= 1
        if self.looks < 0:
            raise ClusterNotFound("gone")
        return {}

    def list(self, kind: str, selector: str) -> object:
        return type("Listed", (), {"items": ()})


def test_a_hub_s_user_is_a_part_of_the_owner(tmp_path: Path) -> None:
    client = FakeCluster(tmp_path)
    assert owner_name(client, "jane") == f"{owner_name(client, None)} jane"
    assert owner_name(client, "") == owner_name(client, None)


def test_when_it_was_made() -> None:
    assert created_at({"metadata": {"creationTimestamp": "1970-01-02T00:00:00Z"}}) == 86400
    assert created_at({"metadata": {}}) == 0


def test_a_secret_names_its_job() -> None:
    job: JsonObject = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "uid": "u"}}
    made = make_owned_secret("s", job, "Opaque", {"a": "MQ=="}, {"l": "1"})
    assert made["metadata"] == {
        "name": "s",
        "labels": {"l": "1"},
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u"}],
    }
    assert (made["type"], made["data"]) == ("Opaque", {"a": "MQ=="})


def test_it_is_waited_until_all_are_gone() -> None:
    client = Going(2)
    await_gone(client, [("Job", "a"), ("Deployment", "b")], RunError)  # type: ignore[arg-type]
    assert client.looks < 0


@pytest.mark.parametrize("error", [RunError, EngineError])
def test_what_stays_is_the_caller_s_error(error: type[RunError | EngineError]) -> None:
    times: Iterator[float] = iter((0.0, 30.0, 61.0))
    with pytest.raises(error, match="a is not gone after 60 s") as caught:
        await_gone(Going(9), [("Job", "a")], error, clock=lambda: next(times))  # type: ignore[arg-type]
    assert caught.value.hint == "see what holds it: kubectl describe job"
