from __future__ import annotations

import inspect

from buildr_jupyter import Containerize as Real
from buildr_jupyter.in_image.decorator_shim import Containerize


def test_a_decorated_function_is_just_itself() -> None:
    @Containerize(package={"name": "app"}, runtime={"ports": [80]})
    def run(number: int = 2) -> int:
        return number + 1

    assert (run(), run(5)) == (3, 6)
    assert run.__wrapped__ is run


def test_it_takes_what_the_real_decorator_takes() -> None:
    real, shim = (list(inspect.signature(one).parameters) for one in (Real, Containerize))
    assert shim == real
