"""Origins of values that a program does not give twice: randomness, fresh identifiers, the clock, the network."""

from __future__ import annotations

import re
from collections.abc import Collection

__all__ = ["CLOCK", "FRESH", "GENERATORS", "NETWORK", "UNSEEDED", "origins_of_call", "state_of"]

FRESH = "fresh"
"""From the system's own randomness, which nothing seeds."""
CLOCK = "clock"
NETWORK = "network"
GENERATORS = ("random", "numpy")
"""Global generators, as origins: what is drawn from one comes again if the same statements seed it."""
UNSEEDED = "unseeded:"
"""Before the name of a generator: the call seeds it from the system's randomness."""

_FRESH = re.compile(r"uuid\.uuid[14]\Z|secrets\.[a-z]|os\.urandom\Z|random\.SystemRandom\Z")
_CONSTRUCTORS = {
    "numpy.random.default_rng": "seed", "numpy.random.RandomState": "seed", "numpy.random.SeedSequence": "entropy",
    "numpy.random.PCG64": "seed", "numpy.random.MT19937": "seed", "random.Random": "x",
}  # fmt: skip
"""Makers of generators, with the keyword of their seed: without one they take the system's randomness."""
_SEEDS = {"random.seed": ("random", "a"), "numpy.random.seed": ("numpy", "seed")}
_CLOCK = re.compile(
    r"time\.(?:time|time_ns|perf_counter|perf_counter_ns|monotonic|process_time|ctime|localtime|gmtime)\Z|"
    r"datetime\.(?:datetime|date)\.(?:now|utcnow|today)\Z|pandas\.(?:Timestamp|Timestamp\.\w+)\.(?:now|today)\Z|"
    r"pandas\.Timestamp\.(?:now|today|utcnow)\Z"
)
_NETWORK = re.compile(
    r"(?:requests|httpx)\.(?:get|post|put|patch|delete|head|request)\Z|urllib\.request\.(?:urlopen|urlretrieve)\Z|"
    r"socket\.create_connection\Z"
)


def state_of(generator: str) -> str:
    """Return how a person is told of the state of a global generator."""
    return f"the state of {generator}"


def origins_of_call(path: str, given: int, keywords: Collection[str]) -> frozenset[str]:
    """Return the origins of what a library's function gives that is called with so many arguments by position.

    ``path`` is its dotted name. Draws from a global generator are noted where they are read.
    """
    if _FRESH.match(path):
        return frozenset((FRESH,))
    if path in _CONSTRUCTORS:
        return frozenset() if given or _CONSTRUCTORS[path] in keywords else frozenset((FRESH,))
    if path in _SEEDS:
        generator, keyword = _SEEDS[path]
        return frozenset() if given or keyword in keywords else frozenset((f"{UNSEEDED}{generator}",))
    if _CLOCK.match(path):
        return frozenset((CLOCK,))
    if _NETWORK.match(path):
        return frozenset((NETWORK,))
    return frozenset()
