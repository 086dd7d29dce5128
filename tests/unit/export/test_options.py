from __future__ import annotations

from dataclasses import replace

from buildr_jupyter.export.options import ExportOptions, Widening


def test_options_are_values_and_nothing_is_widened_unasked() -> None:
    assert ExportOptions() == ExportOptions()
    assert ExportOptions().widening == Widening()
    wider = replace(Widening(), names=("a",), why=("a run wanted a",))
    assert replace(ExportOptions(), widening=wider) != ExportOptions()
    assert len({wider, replace(wider), Widening()}) == 2, "the proof remembers a program by them"
