from __future__ import annotations

import pytest

from buildr_jupyter.errors import BuildError, RegistryUnauthorized
from buildr_jupyter.ui.pane.quick_fix import suggest_line


@pytest.mark.parametrize(
    ("log", "line", "instead"),
    [
        ("Error: pg_config executable not found.", "app", "%%containerize app --apt libpq-dev"),
        ("ImportError: libGL.so.1: cannot open shared object file", "app --run", "%%containerize app --run --apt libgl1"),
        ("OSError: libsndfile.so.1: cannot open shared object file", "app", "%%containerize app --apt libsndfile1"),
        ("error: command 'gcc' failed: No such file or directory", "app", "%%containerize app --apt build-essential"),
        ("ERROR: No matching distribution found for torch==9.9", "app", "%%containerize app --requirement 'torch!=9.9'"),
        ("numpy 1.0: no wheel for linux/arm64", "app", "%%containerize app --builder docker"),
        ("numpy 1.0: no wheel for linux/arm64", "app --builder oci", None),
        ("gcc: not found", "app --apt build-essential", None),
        ("gcc: not found", "app --dockerfile -", None),
        ("it rained", "app", None),
    ],
)  # fmt: skip
def test_the_line_to_use_instead(log: str, line: str, instead: str | None) -> None:
    assert suggest_line(line, BuildError("Image build failed: exit code 1"), (log,)) == instead


def test_a_missing_login_is_answered_by_logging_in() -> None:
    error = RegistryUnauthorized(
        "Image push failed: denied", hint="log in, since no login is known: buildr login r.example:5000"
    )
    assert suggest_line("app", error) == "%containerize --login r.example:5000"
    assert suggest_line("app", RegistryUnauthorized("x")) is None
