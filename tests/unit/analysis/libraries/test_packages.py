from __future__ import annotations

import sys

from buildr_jupyter.analysis.libraries.packages import LIBRARIES_OF_VALUES, QUIET_MODULES


def test_what_keeps_nothing_of_what_it_is_given_leaves_it_alone() -> None:
    assert LIBRARIES_OF_VALUES <= QUIET_MODULES


def test_modules_of_the_standard_library_are_there() -> None:
    gone = {"numpy", "pandas", "sklearn", "scipy", "statsmodels"}
    assert LIBRARIES_OF_VALUES - gone <= sys.stdlib_module_names
