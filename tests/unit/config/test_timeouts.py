"""How long is waited, and what says so."""

from __future__ import annotations

import pytest

from buildr_jupyter.config.timeouts import Limits, read_limits
from buildr_jupyter.errors import SettingError


def test_the_environment_sets_each() -> None:
    assert read_limits({}) == Limits()
    environ = {"BUILDR_CONNECT_TIMEOUT": "1.5", "BUILDR_READ_TIMEOUT": " 2 ", "BUILDR_IDLE_TIMEOUT": "3"}
    assert read_limits(environ) == Limits(connect_s=1.5, read_s=2.0, idle_s=3.0)


@pytest.mark.parametrize("text", ["0", "-1", "soon", "inf", "nan"])
def test_what_is_no_time_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(SettingError, match="BUILDR_READ_TIMEOUT"):
        read_limits({"BUILDR_READ_TIMEOUT": text})
