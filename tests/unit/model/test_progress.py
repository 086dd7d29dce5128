"""A step knows how long it took, as soon as both of its times are known."""

from __future__ import annotations

import pytest

from buildr_jupyter.model.progress import StepUpdate


@pytest.mark.parametrize(
    ("started_at", "finished_at", "duration_s"),
    [(None, None, None), (1.0, None, None), (None, 2.0, None), (0.0, 2.5, 2.5), (3.0, 3.0, 0.0), (5.0, 4.0, 0.0)],
)
def test_duration(started_at: float | None, finished_at: float | None, duration_s: float | None) -> None:
    """The engine's clock may go backwards; no step takes less than no time. 0.0 is a time like any other."""
    assert StepUpdate("1", "RUN x", started_at=started_at, finished_at=finished_at).duration_s == duration_s
