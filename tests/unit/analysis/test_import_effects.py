"""Effects of an import, as its text shows them."""

from __future__ import annotations

import pytest

from buildr_jupyter.analysis.import_effects import iter_effects

QUIET = """\
'''What the shop sells.'''
import math
from functools import wraps
PRICES = {"tea": 3, "coffee": math.floor(4.5)}
class Shop:
    @property
    def open(self):
        return register(self)
def price(name):
    return PRICES.setdefault(name, 0)
if __name__ == "__main__":
    price("tea")
"""


def test_a_module_that_defines_names_has_no_effect() -> None:
    assert True not in list(iter_effects(QUIET))


@pytest.mark.parametrize(
    "source",
    [
        "import pandas as pd\n@pd.api.extensions.register_series_accessor('m')\nclass M: pass",
        "import os\nos.environ['A'] = '1'\nos.system('true')",
        "import config\nconfig.DEBUG = True",
        "from registry import add\nadd('x')",
        "try:\n    import fast\nexcept ImportError:\n    patch()",
        "class A:\n    token = register('a')",
        "for name in NAMES:\n    handle(name)",
        "this is no Python",
    ],
)
def test_a_module_that_does_more_has_one(source: str) -> None:
    assert True in list(iter_effects(source))


def test_what_it_imports_is_named() -> None:
    assert [name for name in iter_effects("import a.b\nfrom c import d") if name is not True] == ["a.b", "c", "c.d"]
