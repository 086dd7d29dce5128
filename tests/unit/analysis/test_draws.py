from __future__ import annotations

import pytest

from buildr_jupyter.analysis.draws import Draw, draw_of, may_draw_when_asked


@pytest.mark.parametrize(
    ("path", "keywords", "held", "expected"),
    [
        ("sklearn.preprocessing.StandardScaler", (), Draw.NOT, Draw.NOT),
        ("sklearn.cluster.KMeans", (), Draw.NOT, Draw.DOES),
        ("sklearn.cluster.KMeans", ("random_state",), Draw.NOT, Draw.NOT),
        ("sklearn.pipeline.make_pipeline", (), Draw.DOES, Draw.DOES),  # it draws what its steps draw
        ("sklearn.pipeline.make_pipeline", (), Draw.NOT, Draw.NOT),
        ("sklearn.ensemble.RandomForestClassifier", ("random_state",), Draw.DOES, Draw.MAY),
        ("sklearn.model_selection.KFold", (), Draw.NOT, Draw.NOT),
        ("sklearn.model_selection.KFold", ("shuffle",), Draw.NOT, Draw.MAY),
        ("sklearn.x.NotThereYet", (), Draw.NOT, Draw.MAY),
        ("sklearn.datasets.load_iris", (), Draw.NOT, Draw.NOT),
        ("scipy.stats.norm.rvs", (), Draw.NOT, Draw.DOES),
        ("scipy.stats.norm.rvs", ("random_state",), Draw.NOT, Draw.NOT),
        ("scipy.integrate.quad", (), Draw.NOT, Draw.NOT),
    ],
)
def test_whether_a_function_draws(path: str, keywords: tuple[str, ...], held: Draw, expected: Draw) -> None:
    assert draw_of(path, keywords, held) is expected


def test_what_is_fitted_may_draw_when_it_is_asked_where_no_table_says_otherwise() -> None:
    assert may_draw_when_asked("sklearn.x.NotThereYet")
    assert not may_draw_when_asked("sklearn.cluster.KMeans")
