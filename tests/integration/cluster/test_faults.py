"""A cluster among the faults: a row that needs a node of our own (``python -m tests.faults --builder kubernetes``)."""

from __future__ import annotations

import contextlib

from tests.engines import Engines, short_folder
from tests.engines.kubernetes import Cluster
from tests.faults import matrix
from tests.faults.rows import Row
from tests.faults.world import World


def test_a_run_goes_on_where_the_kubelet_and_the_container_runtime_are_killed(
    engines: Engines, kubernetes_cluster: Cluster
) -> None:
    with short_folder() as folder, contextlib.closing(World(folder, engines)) as world:
        case = matrix.start(world, "kubernetes")
        try:
            outcome = matrix.run(case, Row("run", "kubernetes", "node killed"))
        finally:
            case.close()
    assert (outcome.seen, outcome.wrong) == ("it succeeds", [])
