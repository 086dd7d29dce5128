"""Origins: which calls give another value each time, and how the flow notes them."""

from __future__ import annotations

import ast
import pydoc

import pytest

from buildr_jupyter.analysis.slicer import analyze
from buildr_jupyter.analysis.statements import Flow
from buildr_jupyter.analysis.value_origins import _CONSTRUCTORS, _SEEDS, CLOCK, FRESH, NETWORK, origins_of_call

IMPORTS = (
    "import numpy as np, random, uuid, time, secrets, os, requests\nfrom datetime import datetime\n"
    "from random import shuffle\nimport pandas as pd\ncards = [1]\n"
    "def draw(): return random.random()\n"
    "class Die:\n    def roll(self): self.top = random.randint(1, 6)\ndie = Die()\n"
)


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("x = np.random.rand(5)", {"numpy"}),
        ("x = draw()", {"random"}),
        ("x = [random.random() for _ in range(3)]", {"random"}),
        ("die.roll()", {"random"}),
        ("shuffle(cards)", {"random"}),
        ("x = pd.DataFrame({'a': [1]}).sample(1)", {"numpy"}),
        ("x = uuid.uuid4().hex", {FRESH}),
        ("x = f'{uuid.uuid1()}'", {FRESH}),
        ("x = uuid.uuid5(uuid.NAMESPACE_DNS, 'a')", set()),
        ("x = secrets.token_hex(4)", {FRESH}),
        ("x = os.urandom(3)", {FRESH}),
        ("x = np.random.default_rng()", {FRESH}),
        ("x = np.random.default_rng(1)", set()),
        ("x = np.random.default_rng(seed=1)", set()),
        ("random.seed()", {"unseeded:random"}),
        ("np.random.seed(2)", set()),
        ("x = time.time()", {CLOCK}),
        ("x = datetime.now()", {CLOCK}),
        ("x = pd.Timestamp.now()", {CLOCK}),
        ("x = requests.get('https://example.org').text", {NETWORK}),
        ("x = sum(cards)", set()),
        ("def f():\n    return random.random()", set()),
    ],
)
def test_what_a_statement_draws_on(text: str, origins: set[str]) -> None:
    flow = Flow()
    list(analyze(flow, ast.parse(IMPORTS).body, 0, may_fail=False))
    (statement,) = analyze(flow, ast.parse(text).body, 1, may_fail=False)
    assert statement.facts is not None
    assert statement.facts.origins == origins


def test_a_seed_by_keyword_counts() -> None:
    assert origins_of_call("random.seed", 0, {"a"}) == frozenset()
    assert origins_of_call("random.Random", 0, ()) == {FRESH}


# -- each entry of the tables, by calling it

_DRAWS = {
    "numpy.random.default_rng": lambda made: made.random(),
    "numpy.random.RandomState": lambda made: made.random_sample(),
    "numpy.random.SeedSequence": lambda made: int(made.generate_state(1)[0]),
    "numpy.random.PCG64": lambda made: made.random_raw(),
    "numpy.random.MT19937": lambda made: int(made.random_raw()),
    "random.Random": lambda made: made.random(),
}


@pytest.mark.parametrize("path", _CONSTRUCTORS)
def test_a_maker_without_a_seed_gives_other_numbers_and_with_one_the_same(path: str) -> None:
    make, draw = pydoc.locate(path), _DRAWS[path]
    assert callable(make)
    assert len({draw(make()) for _ in range(4)}) > 1
    assert draw(make(7)) == draw(make(7)) == draw(make(**{_CONSTRUCTORS[path]: 7}))


@pytest.mark.parametrize("path", _SEEDS)
def test_a_seed_brings_the_numbers_back_and_none_does_not(path: str) -> None:
    seed, draw = pydoc.locate(path), pydoc.locate(f"{path.rpartition('.')[0]}.random")
    assert callable(seed)
    assert callable(draw)

    def drawn(*given: int, **named: int) -> object:
        seed(*given, **named)
        return draw()

    assert drawn(3) == drawn(3) == drawn(**{_SEEDS[path][1]: 3})
    assert len({drawn() for _ in range(4)}) > 1


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("uuid.uuid1", ()),
        ("uuid.uuid4", ()),
        ("secrets.token_hex", ()),
        ("secrets.token_bytes", ()),
        ("secrets.token_urlsafe", ()),
        ("secrets.randbits", (64,)),
        ("os.urandom", (8,)),
    ],
)
def test_what_is_fresh_is_another_each_time(path: str, given: tuple[int, ...]) -> None:
    assert origins_of_call(path, len(given), ()) == {FRESH}
    made = pydoc.locate(path)
    assert callable(made)
    assert made(*given) != made(*given)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "time.time",
            "time.time_ns",
            "time.perf_counter",
            "time.monotonic",
            "time.localtime",
            "datetime.datetime.now",
        ),
        *("datetime.datetime.utcnow", "datetime.date.today", "pandas.Timestamp.now", "pandas.Timestamp.today"),
    ],
)
def test_what_comes_from_the_clock_exists_and_is_read_as_that(path: str) -> None:
    assert callable(pydoc.locate(path))
    assert origins_of_call(path, 0, ()) == {CLOCK}
