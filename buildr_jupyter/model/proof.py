"""Proof of a program: what came of running it and comparing it with the cell's last run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Proof", "ProofStatus"]

ProofStatus = Literal["proven", "ran, not compared", "differs", "not proven", "pending"]


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known of a program; it is no part of plan, image or content digest."""

    status: ProofStatus
    """proven: it ran behind a barrier and printed what the cell's last run of the same body did; ran, not compared:
    there was no such run; differs: it printed something else, or failed; not proven: ``why`` says what stood in the
    way; pending: it is not known yet."""
    why: str = ""
    """In a few words; empty for what is proven."""
    widened: tuple[str, ...] = ()
    """What the program carries beside what it was read to need, each with why."""
    barrier: str = ""
    """What held it: ``Landlock with seccomp``; empty where it did not run."""
    duration_s: float = 0.0
    """Of all runs together."""

    @property
    def holds(self) -> bool:
        """Tell whether nothing speaks against the program: it is proven, or ran with nothing to compare."""
        return self.status in ("proven", "ran, not compared")

    def __str__(self) -> str:
        if self.status == "pending":
            return "proof pending"
        return f"{self.status}: {self.why}" if self.why else self.status
