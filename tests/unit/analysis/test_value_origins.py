"""Origins: which calls give another value each time, and how the flow notes them."""

from __future__ import annotations

import ast

import pytest

from buildr_jupyter.analysis.slicer import analyze
from buildr_jupyter.analysis.statements import Flow
from buildr_jupyter.analysis.value_origins import CLOCK, FRESH, NETWORK, origins_of_call

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
