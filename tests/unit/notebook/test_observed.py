"""What is not in a record was not looked at."""

from __future__ import annotations

from buildr_jupyter.notebook.observed import Observed


def test_a_record_of_nothing_proves_nothing() -> None:
    nothing = Observed()
    assert not nothing.unchanged
    assert not nothing.changed
    assert nothing == Observed(bound=frozenset())
    assert hash(nothing) == hash(Observed())
