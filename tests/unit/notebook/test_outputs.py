from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from buildr_jupyter.notebook import outputs


def shell(kept: object) -> Any:
    return SimpleNamespace(history_manager=SimpleNamespace(outputs=kept))


def said(kind: str, **bundle: object) -> SimpleNamespace:
    return SimpleNamespace(output_type=kind, bundle={name.replace("__", "/"): value for name, value in bundle.items()})


def test_what_a_run_printed_and_its_value_are_one_text() -> None:
    found = [
        said("out_stream", stream=["a\n", "b\n"]),
        said("display_data", text__plain="<Figure>", image__png="…"),
        said("display_data", text__plain="shown"),
        said("err_stream", stream=["hidden"]),
        said("execute_result", text__plain="7"),
    ]
    assert outputs.printed(shell({3: found}), 3) == "a\nb\nshown\n7\n"
    assert outputs.printed(shell({3: found}), 3, start=2) == "shown\n7\n"
    assert outputs.how_many(shell({3: found}), 3) == 5


def test_where_nothing_is_kept_nothing_is_known() -> None:
    for kept in (None, {}, {3: "not a list"}, {3: []}):
        assert outputs.printed(shell(kept), 3) is None
        assert outputs.how_many(shell(kept), 3) == 0
    older = SimpleNamespace(history_manager=SimpleNamespace())
    assert outputs.printed(older, 3) is None


def test_what_was_displayed_is_a_text_or_a_picture() -> None:
    assert outputs.is_text({"text/plain": "1", "text/html": "<b>1</b>"})
    assert not outputs.is_text({"text/plain": "<Figure>", "image/png": "…"})
    assert not outputs.is_text({"text/plain": "HBox()", "application/vnd.jupyter.widget-view+json": {}})
    assert not outputs.is_text({"text/html": "<b>1</b>"})
