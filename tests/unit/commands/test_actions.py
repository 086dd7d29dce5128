"""Images that are there: what is refused without an engine, and what goes from the store."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import pytest

from buildr_jupyter import cli
from buildr_jupyter.commands.actions import push_image, remove_image
from buildr_jupyter.commands.images import list_images
from buildr_jupyter.errors import EngineUnavailable, OptionError
from buildr_jupyter.oci.store import Store

from .test_images import image_id, store

__all__ = ["image_id", "store"]


def command(*words: str) -> tuple[int, str, str]:
    with contextlib.redirect_stdout(out := io.StringIO()), contextlib.redirect_stderr(said := io.StringIO()):
        status = cli.main(list(words))
    return status, out.getvalue(), said.getvalue()


def test_rm_takes_one_name_after_the_other_and_with_the_last_the_internal_one(image_id: str, store: Store) -> None:
    known = store.image("trial:1")
    assert known is not None
    store.tag("trial:c-0123456789ab", {**known, "name": "trial:c-0123456789ab"})
    assert command("rm", "trial:1") == (0, "removed trial:1 (store)\n", "")
    assert [row["tags"] for row in list_images(store)] == [["trial:2", "trial:c-0123456789ab"]]
    assert "c-0123456789ab" not in command("images")[1]
    status, out, _ = command("rm", "trial:2", "--json")
    assert (status, json.loads(out)["removed"]) == (0, {"trial:2": ["store"]})
    assert store.images() == []
    with pytest.raises(EngineUnavailable):
        remove_image("trial:2")


def test_what_cannot_be_done_is_said(image_id: str, store: Store, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="the name says no registry"):
        push_image("trial:1", lambda _event: None)
    status, _, said = command("run", "trial:1", "--", "--n", "4")
    assert status == 1
    assert "Docker" in said or "engine" in said
    assert command("run")[0] == 2
    assert command("completion", "tcsh")[0] == 2
