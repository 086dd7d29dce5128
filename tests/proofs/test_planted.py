"""Planted faults: of twenty slices, the proof notices each statement whose lack changes the output."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildr_jupyter.export.verify import Trial, judge, run_trial
from buildr_jupyter.process import confine
from tests.proofs.planted import iter_faults, make_slice, some_faults, try_fault

pytestmark = pytest.mark.skipif(confine.missing() is not None, reason=str(confine.missing()))


@pytest.mark.parametrize("seed", range(20))
def test_the_proof_notices_what_changes_the_output(seed: int, tmp_path: Path) -> None:
    one = make_slice(seed, tmp_path)
    whole = run_trial(one.subject)
    assert isinstance(whole, Trial)
    assert judge(whole, one.printed, 60).status == "proven"
    outcomes = {fault.removed: try_fault(one, fault) for fault in some_faults(one.text, 4)}
    assert {removed: str(outcome.proof) for removed, outcome in outcomes.items() if not outcome.right} == {}
    assert any(outcome.changed for outcome in outcomes.values()), "a slice that needs nothing shows nothing"


def test_a_fault_is_one_statement_less() -> None:
    text = (
        "head\nif block is blocks[-1]: own = 1\n# %% nb, cell 0, line 1\na = 1\n@deco\ndef f():\n    pass\n"
        "# %% nb, cell 1, line 1\nprint(a)\n"
    )
    faults = list(iter_faults(text))
    assert [fault.removed for fault in faults] == ["a = 1\n", "@deco\ndef f():\n    pass"]
    assert faults[0].text == text.replace("a = 1\n", "\n")
    assert faults[1].text == text.replace("@deco\ndef f():\n    pass\n", "\n\n\n\n")
    assert some_faults(text, 1) == faults[:1]
