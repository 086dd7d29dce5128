"""Summaries of functions: what they read, and how long they hold."""

from __future__ import annotations

from buildr_jupyter.analysis.abstract_values import ATOM
from buildr_jupyter.analysis.summaries import summary
from tests.unit.analysis.executed import followed, last_effects


def test_a_functions_own_reads_count_when_it_is_called() -> None:
    program = "n = 1\nm = 2\ndef f():\n    return n\ndef g():\n    return f()\ng()"
    _, facts = last_effects(program)
    assert facts.reads == {"n", "f", "g"}
    assert facts.direct == {"g": 7}
    _, defined = last_effects(program.removesuffix("\ng()"))
    assert defined.reads == set(), "a definition reads nothing of what its body names"


def test_a_summary_is_kept_until_a_name_that_it_rests_on_changes() -> None:
    flow = followed("n = [1]\nother = [2]\ndef f():\n    return n")
    (function,) = flow.env["f"].objs
    info = function.info
    first = summary(flow, info)  # type: ignore[arg-type]
    assert summary(flow, info) is first  # type: ignore[arg-type]
    flow.set_global("other", ATOM, weak=False)
    assert summary(flow, info) is first  # type: ignore[arg-type]
    flow.set_global("n", flow.fresh(), weak=False)
    again = summary(flow, info)  # type: ignore[arg-type]
    assert again is not first
    assert again is not None
    assert again.returns == set(flow.env["n"].objs)
