"""Proof: what it says."""

from __future__ import annotations

import pytest

from buildr_jupyter.model.proof import Proof


@pytest.mark.parametrize(
    ("proof", "said", "holds"),
    [
        (Proof("proven"), "proven", True),
        (Proof("ran, not compared", "no run of this cell is known"), "ran, not compared: no run of this cell is known", True),
        (Proof("differs", "line 1 is '1' and was '2'"), "differs: line 1 is '1' and was '2'", False),
        (Proof("not proven", "no barrier: darwin has no Landlock"), "not proven: no barrier: darwin has no Landlock", False),
        (Proof("pending"), "proof pending", False),
    ],
)  # fmt: skip
def test_a_proof_in_words(proof: Proof, said: str, holds: bool) -> None:
    assert (str(proof), proof.holds) == (said, holds)
