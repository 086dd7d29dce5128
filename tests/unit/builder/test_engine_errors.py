"""What an engine's failure comes to: the command's own cause as the sentence, the engine's words below it."""

from __future__ import annotations

import pytest

from buildr_jupyter.builder.engine_errors import build_error, publish_error
from buildr_jupyter.errors import RegistryDenied, RegistryUnauthorized, RegistryUnreachable

ENGINE = "executor failed running [/bin/sh -c apt-get install -y libgl1-nope]: exit code: 100"


@pytest.mark.parametrize(
    ("tail", "cause"),
    [
        (
            ("Reading package lists...", "E: Unable to locate package libgl1-nope"),
            "E: Unable to locate package libgl1-nope",
        ),
        (
            ("  error: subprocess-exited-with-error", "note: see above", "ERROR: No matching distribution found for x"),
            "ERROR: No matching distribution found for x",
        ),
        (("Traceback (most recent call last):", "  File 'x'", "ValueError: bad value"), "ValueError: bad value"),
        (("fatal: repository not found",), "fatal: repository not found"),
        (("gcc: error: no input files", "make: *** [all]"), "gcc: error: no input files"),
        (("looking", "cat: /etc/none: No such file or directory"), "cat: /etc/none: No such file or directory"),
        (("ls: cannot access '/x': Permission denied", ""), "ls: cannot access '/x': Permission denied"),
        (("/bin/sh: 1: mak: not found",), "/bin/sh: 1: mak: not found"),
        (("requests.exceptions.ConnectionError: no route",), "requests.exceptions.ConnectionError: no route"),
    ],
)
def test_the_cause_is_what_the_command_said(tail: tuple[str, ...], cause: str) -> None:
    error = build_error(ENGINE, step="RUN x", exit_code=100, tail=tail)
    assert str(error) == f"Image build failed: {cause}"
    assert error.log_tail == (*tail, ENGINE)


@pytest.mark.parametrize(
    ("tail", "exit_code"),
    [
        (("all is well", "no error here"), 1),
        (("cat: x: No such file or directory", "and on it goes"), 1),
        (("the file was not found",), 1),
        (("Errors: none", "an error: in mid sentence"), 1),
        (("E: Unable to locate package x",), None),
        (("E: Unable to locate package x",), 137),
        (("E: too far above", *["line"] * 40), 1),
        ((), 1),
    ],
)
def test_without_a_cause_the_engines_words_stay(tail: tuple[str, ...], exit_code: int | None) -> None:
    error = build_error(ENGINE, step="RUN x", exit_code=exit_code, tail=tail)
    assert str(error) == f"Image build failed: {ENGINE}"
    assert error.log_tail == tail


def test_a_base_that_is_not_there() -> None:
    error = build_error("manifest unknown", step="FROM x", exit_code=None, tail=(), base="ghcr.io/me/x:1")
    assert "buildr login ghcr.io" in str(error.hint)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("unauthorized: authentication required", RegistryUnauthorized),
        ("denied: requested access to the resource is denied", RegistryDenied),
        ("dial tcp: lookup x: no such host", RegistryUnreachable),
    ],
)
def test_a_push(message: str, kind: type[Exception]) -> None:
    error = publish_error(message, "ghcr.io")
    assert type(error) is kind
    assert str(error) == f"Image push failed: {message}"
