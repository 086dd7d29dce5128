"""Methods of what libraries made: what they change, give and keep, compared with what they really do."""

from __future__ import annotations

import pytest

from tests.unit.analysis.executed import check_changes, check_shares, last_effects
from tests.unit.analysis.test_slicer import kept

DATA = "a = [3, 1]\nb = [2]\nlog = []\n"


@pytest.mark.parametrize(
    ("statement", "changed"),
    [
        ("a.append(1)", "a"),
        ("a.sort(key=lambda x: log.append(x) or x)", "a log"),
        ("a.copy().append(1)", ""),
        ("a.index(3)", ""),
        ("d.update(x=1)", "d"),
        ("d.get('b').append(1)", "b d"),
        ("d.items()", ""),
        ("list(d.values())[0].append(1)", "b d"),
        ("d.setdefault('z', b)", "d"),
        ("a.extend(i)", "a i"),
        ("'-'.join(i)", "i"),
        ("'x'.split()", ""),
        ("type(a).append(a, 1)", "a"),
        ("q.popleft()", "q"),
        ("k.update('x')", "k"),
    ],
)
def test_methods_of_pythons_own_objects(statement: str, changed: str) -> None:
    setup = (
        DATA + "import array, collections\nd = {'b': b}\ni = iter(['x'])\nq = collections.deque([1])\n"
        "k = collections.Counter()\n"
    )
    check_changes(setup, statement, changed)


@pytest.mark.parametrize(
    ("expression", "shared"),
    [
        ("a.copy()", ""),
        ("[b].copy()", "b"),
        ("d.items()", "b d"),
        ("d.keys()", "b d"),
        ("d.get('b')", "b"),
        ("d.get('z', a)", "a b"),
        ("d.setdefault('b', [])", "b"),
        ("a.append", "a"),
        ("iter(d.values())", "b d"),
        ("'a b'.split()", ""),
        ("a.count(1)", ""),
    ],
)
def test_a_methods_result_shares_what_it_really_shares(expression: str, shared: str) -> None:
    check_shares(DATA + "d = {'b': b}", expression, shared)


def test_a_draw_of_a_frame_or_an_estimator_moves_the_global_generator() -> None:
    setup = "import numpy as np\nimport pandas as pd\nnp.random.seed(1)\nframe = pd.DataFrame({'x': [1]})\n"

    def draws(statement: str) -> bool:
        flow, facts = last_effects(setup + statement)
        return not flow.env["@rng:numpy"].objs.isdisjoint(facts.mutates)

    assert draws("frame.sample(1)")
    assert not draws("frame.sample(1, random_state=1)")
    assert draws("frame.sample(1, random_state=None)")
    assert not draws("frame.head()")
    assert draws("from scipy import stats\nstats.norm.rvs(1)")
    assert not draws("from scipy import stats\nstats.norm.rvs(1, random_state=1)")


def changes(program: str, name: str) -> bool:
    """Tell whether the last statement of a program may change what a name stands for."""
    flow, facts = last_effects(program)
    return not flow.env[name].objs.isdisjoint(facts.mutates)


@pytest.mark.parametrize(
    ("statement", "name", "changed"),
    [
        ("plt.plot(found)", "found", False),
        ("ax.plot(found)", "found", False),
        ("ax.plot(found)", "ax", True),
        ("ax.fill_between(found, found, ax)", "ax", True),
        ("ax.plot(found)\nax.set_title('t')", "found", False),
        ("line = ax.plot(found)\nline[0].get_data().sort()", "found", True),  # what it gives may show what it was given
        ("ax.fill_betweenx(rows, 1)", "rows", True),
        ("ax.plot(other)", "other", True),  # it may be read by being drawn
        ("plt.plot([1, other])", "other", True),
        ("ax.legend(found)", "found", True),
        ("ax.plot(1, data=found)", "found", True),
        ("other.plot(found)", "found", True),  # it is no axes: of a package that no table knows
        ("plt.setp(found)", "found", True),
    ],
)
def test_what_is_drawn_does_not_change(statement: str, name: str, changed: bool) -> None:
    setup = (
        "import matplotlib.pyplot as plt\nimport statsmodels.api as sm\nimport tools\nfig, ax = plt.subplots()\n"
        "found = sm.load()\nother = tools.make()\nrows = iter([1, 2])\n"
    )
    assert changes(setup + statement, name) is changed


@pytest.mark.parametrize(
    ("statement", "name", "changed"),
    [
        ("print(res.summary())", "res", False),
        ("print(res.summary())", "@rng:numpy", False),
        ("res.fit()", "res", True),
        ("res.fit()", "@rng:numpy", True),
        ("table.sort_values('a', inplace=True)", "table", True),
        ("table.head()", "table", False),
        ("shown = table.head()\nshown.insert(0, 1, 2)", "table", True),  # it may be the table itself
        ("other.summary()", "other", True),  # of a package that no table knows
        ("res.conf_int(rows)", "rows", True),
        ("own = sm.OLS(1, work).fit()\nown.summary()", "log", True),  # what it holds may be called
    ],
)
def test_what_is_asked_of_results_changes_nothing(statement: str, name: str, changed: bool) -> None:
    setup = (
        "import statsmodels.api as sm\nimport numpy as np\nimport tools\nnp.random.seed(1)\nres = sm.OLS(1, 2).fit()\n"
        "table = sm.load().data\nother = tools.make()\nrows = iter([1, 2])\nlog = []\ndef work():\n    log.append(1)\n"
    )
    assert changes(setup + statement, name) is changed


def test_who_reads_what_a_question_left_needs_the_question() -> None:
    cells = ["import statsmodels.api as sm", "res = sm.OLS(1, 2).fit()", "res.summary()"]
    assert "res.summary()" in kept(*cells, "print(res.diagn)")
    assert "res.summary()" in kept(*cells, "def f(x):\n    return x.diagn", "print(f(res))")
    assert "res.summary()" not in kept(*cells, "print(res.params)")
