"""What the observer adds to the cells of public-shaped notebooks, and to a day's session with 2 GB of frames.

Times are the thread's own, so that other work on the machine is not counted. Bounds: the 95th percentile of what is
added is at most the larger of 2 ms and 3 % of the cell's own time; the worst cell with the large frames 100 ms; what a
session of 500 cells leaves in memory 30 MB.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildr_jupyter.notebook.observed import Observed
from buildr_jupyter.notebook.observer import Observer

BOUND_S, BOUND_PART, BOUND_WORST_S, BOUND_BYTES = 0.002, 0.03, 0.1, 30 << 20
FRAMES_BYTES = 2 << 30
SESSION_CELLS = 500

NOTEBOOKS: dict[str, list[str]] = {
    "plain python": [
        "import collections, json, math, re, statistics",
        "text = ' '.join(f'word{n % 97} and {n}' for n in range(4000))",
        "words = text.split()\ncounts = collections.Counter(words)",
        "index = {}\nfor place, word in enumerate(words):\n    index.setdefault(word, []).append(place)",
        "\n".join(
            (
                "class Node:",
                "    def __init__(self, name):",
                "        self.name, self.next, self.seen = name, [], 0",
                "nodes = {name: Node(name) for name in list(counts)[:300]}",
            )
        ),
        "for one in nodes.values():\n    one.next = [nodes[name] for name in list(nodes)[:5]]",
        "\n".join(
            (
                "def walk(node, depth=3):",
                "    node.seen += 1",
                "    return 1 + sum(walk(n, depth - 1) for n in node.next) if depth else 1",
            )
        ),
        "walk(nodes['and'])",
        "rows = [{'id': n, 'score': math.sqrt(n), 'tags': ['a', 'b']} for n in range(3000)]",
        "rows.sort(key=lambda row: -row['score'])\nrows[:3]",
        "open('rows.json', 'w').write(json.dumps(rows)) and None",
        "back = json.load(open('rows.json'))\nlen(back)",
        "statistics.mean(row['score'] for row in back)",
    ],
    "numpy and pandas": [
        "import numpy as np\nimport pandas as pd",
        "rng = np.random.default_rng(0)\na = rng.normal(size=(300, 300))",
        "b = a @ a.T\nb.trace()",
        "df = pd.DataFrame({'key': rng.integers(0, 50, 20_000), 'value': rng.normal(size=20_000)})",
        "df['name'] = df.key.map(lambda k: f'group {k}')\ndf.head()",
        "means = df.groupby('name').value.mean()\nmeans.describe()",
        "df.loc[df.value < 0, 'value'] = 0",
        "\n".join(
            ("wide = df.assign(n=df.groupby('key').cumcount()).pivot(index='n', columns='key', values='value')",)
        ),
        "df.to_csv('out.csv', index=False)",
        "again = pd.read_csv('out.csv')\nagain.dtypes",
        "merged = again.merge(means.rename('mean'), left_on='name', right_index=True)",
        "cols = [c for c in merged.columns if c != 'name']\nmerged[cols].corr()",
        "x = 1",
        "x + 1",
    ],
    "figures and models": [
        "import matplotlib\nmatplotlib.use('agg')\nimport matplotlib.pyplot as plt\nimport numpy as np",
        "\n".join(
            (
                "from sklearn.datasets import make_classification",
                "from sklearn.ensemble import RandomForestClassifier",
                "from sklearn.linear_model import LogisticRegression",
                "from sklearn.model_selection import train_test_split",
            )
        ),
        "X, y = make_classification(2000, 20, random_state=0)",
        "X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)",
        "model = LogisticRegression().fit(X_train, y_train)",
        "forest = RandomForestClassifier(20, random_state=0).fit(X_train, y_train)",
        "forest.score(X_test, y_test), model.score(X_test, y_test)",
        "\n".join(
            (
                "fig, axes = plt.subplots(2, 2)",
                "for ax in axes.flat:",
                "    ax.plot(np.arange(10), np.arange(10) ** 2)",
            )
        ),
        "axes[0, 0].set_title('first')\nfig.savefig('fig.png')",
        "importances = sorted(zip(forest.feature_importances_, range(20)), reverse=True)",
        "names = [f'feature {n}' for n in range(20)]",
        "plt.close('all')",
    ],
}


@dataclass
class Run:
    """One run of a cell."""

    own_s: float
    added_s: float
    observed: Observed | None

    @property
    def over(self) -> float:
        """What was added, as a part of what may be."""
        return self.added_s / max(BOUND_S, BOUND_PART * self.own_s)


def run(observer: Observer, namespace: dict[str, Any], source: str) -> Run:
    """Run a cell as a kernel does, between the observer's two calls."""
    started = time.thread_time()
    observer.begin(source)
    added = time.thread_time() - started
    began, wall = time.thread_time(), time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(source, "cell", "exec"), namespace)
    own, wall = time.thread_time() - began, time.perf_counter() - wall
    started = time.thread_time()
    observed = observer.end(wall)
    return Run(max(own, wall), added + time.thread_time() - started, observed)


@contextlib.contextmanager
def folder() -> Iterator[None]:
    """Work in an empty folder."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        try:
            yield
        finally:
            os.chdir(before)


def percentile(values: list[float], part: float) -> float:
    """Return the value below which this part of the values lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def row(name: str, runs: list[Run]) -> float:
    """Print the line of one notebook; return the 95th percentile of what was added, as a part of what may be."""
    added = [one.added_s * 1000 for one in runs]
    part = percentile([one.over for one in runs], 0.95)
    print(
        f"  {name:<28} {len(runs):5d}  {statistics.median(added):7.2f} {percentile(added, 0.95):7.2f} {max(added):7.2f}"
        f"   {part:6.2f}"
    )
    return part


def notebooks(rounds: int = 3) -> float:
    """Measure the notebooks, each in a namespace of its own; return the largest part of the bound."""
    worst = 0.0
    for name, cells in NOTEBOOKS.items():
        runs: list[Run] = []
        for _ in range(rounds):
            namespace: dict[str, Any] = {"__name__": "__main__"}
            observer = Observer(namespace)
            runs += [run(observer, namespace, cell) for cell in cells]
            observer.stop()
        worst = max(worst, row(name, runs))
    return worst


def session(size_bytes: int = FRAMES_BYTES, cells: int = SESSION_CELLS) -> tuple[float, float, int]:
    """Run a day's cells beside large frames; return the part of the bound, the worst cell and the bytes left."""
    import numpy as np
    import pandas as pd

    namespace: dict[str, Any] = {"__name__": "__main__", "np": np, "pd": pd}
    rows = size_bytes // 4 // 80
    for number in range(4):
        namespace[f"frame{number}"] = pd.DataFrame(np.zeros((rows, 10)))
    chosen = random.Random(0)
    templates = (
        "v{n} = [{n}] * 20", "frame0.iloc[{n}, 0] += 1", "t{n} = frame1.iloc[:100].sum()", "d = dict(a={n}, b=[{n}])",
        "def f{n}(x):\n    return x + {n}", "s = frame{m}[0].iloc[:1000].mean()", "w = v0 + [d]",
        "for i in range(2000):\n    d['b'].append(i)", "part = frame{m}.head(1000).copy()\npart[3] = {n}",
    )  # fmt: skip
    observer = Observer(namespace)
    runs = [run(observer, namespace, "v0 = [0]\nd = dict(b=[])")]
    for number in range(1, cells):
        source = chosen.choice(templates).format(n=number, m=number % 4)
        runs.append(run(observer, namespace, source))
    grown = _size(observer, [one.observed for one in runs])
    part = row(f"{cells} cells, {size_bytes >> 20} MB of frames", runs)
    return part, max(one.added_s for one in runs), grown


def _size(*roots: object) -> int:
    """Return how many bytes hang on buildr's objects: the notebook's own are not counted."""
    seen: set[int] = set()
    todo, total = list(roots), 0
    while todo:
        item = todo.pop()
        if id(item) in seen or isinstance(item, type) or callable(item):
            continue
        seen.add(id(item))
        total += sys.getsizeof(item)
        if isinstance(item, Observer):
            todo.extend(value for name, value in vars(item).items() if name not in ("namespace", "hidden"))
        elif isinstance(item, dict):
            todo.extend((*item, *item.values()))
        elif isinstance(item, (list, tuple, set, frozenset)):
            todo.extend(item)
        elif isinstance(item, Observed):
            todo.extend(getattr(item, name) for name in Observed.__slots__)
    return total


def main() -> int:
    """Print the table; return 1 where a bound is broken."""
    print("what the observer adds to a cell, ms\n")
    print(f"  {'notebook':<28} {'cells':>5}  {'median':>7} {'p95':>7} {'worst':>7}   p95 of what may be added")
    with folder():
        part = notebooks()
        more, worst, grown = session()
    part = max(part, more)
    print(f"\n  p95, of the larger of 2 ms and 3 %      {part:6.2f}  (at most 1)")
    print(f"  worst cell with the frames, of 100 ms   {worst / BOUND_WORST_S:6.2f}  (at most 1)")
    print(f"  a session of {SESSION_CELLS} cells keeps, of 30 MB   {grown / BOUND_BYTES:6.2f}  (at most 1)")
    return 0 if part <= 1 and worst <= BOUND_WORST_S and grown <= BOUND_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
