"""What becomes of kaniko's container where its engine is gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from requests.exceptions import ConnectionError as NoConnection

from buildr_jupyter.builder.kaniko.executor import Container
from buildr_jupyter.engine.connection import Address
from tests.fakes.engine import FakeEngine


class Gone:
    """A connection whose engine was killed."""

    def __init__(self, host: str) -> None:
        self.buildr_address = Address(host, "DOCKER_HOST")
        self.base_url = host

    def remove_container(self, *_: Any, **__: Any) -> None:
        raise NoConnection("Connection refused")


def test_a_container_whose_engine_is_gone_is_noted_for_the_next_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with FakeEngine() as fake:
        host = fake.host
    room = Container(Gone(host), "executor", files={}, context=(), network=None, labels={})
    with pytest.raises(KeyboardInterrupt), room.opened():
        room._container = "c" * 64
        raise KeyboardInterrupt
    note = tmp_path / "buildr" / "abandoned" / f"{'c' * 64}.json"
    assert json.loads(note.read_text()) == {"address": host, "since": 0.0}
