"""What a pod's status says of a container that does not begin."""

from __future__ import annotations

import pytest

from buildr_jupyter.cluster.pods import PULL_REASONS, STUCK_REASONS, unschedulable, why_waiting


@pytest.mark.parametrize("reason", sorted(PULL_REASONS | STUCK_REASONS))
def test_a_reason_that_keeps_a_container_from_its_begin_is_given_with_its_message(reason: str) -> None:
    assert why_waiting({"waiting": {"reason": reason, "message": "m"}}) == (reason, "m")
    assert why_waiting({"waiting": {"reason": reason}}) == (reason, "")


@pytest.mark.parametrize(
    "state", [{}, {"running": {}}, {"waiting": {"reason": "ContainerCreating"}}, {"waiting": None}]
)
def test_one_that_only_has_not_begun_has_no_reason(state: dict[str, object]) -> None:
    assert why_waiting(state) is None


def test_a_pull_that_failed_once_is_tried_again() -> None:
    assert "ErrImagePull" in PULL_REASONS - STUCK_REASONS


def test_why_no_node_takes_a_pod() -> None:
    condition = {"type": "PodScheduled", "reason": "Unschedulable", "message": "0/1 nodes"}
    assert unschedulable({"conditions": [{"type": "Ready"}, condition]}) == "0/1 nodes"
    assert unschedulable({"conditions": [{**condition, "message": None}]}) == ""
    assert unschedulable({"conditions": [{**condition, "reason": "SchedulingGated"}]}) is None
    assert unschedulable({}) is None
