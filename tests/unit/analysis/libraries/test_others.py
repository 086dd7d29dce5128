from __future__ import annotations

from buildr_jupyter.analysis.libraries.others import FILE_READERS, FILE_WRITERS, IMPORTS_THAT_CHANGE


def test_functions_are_named_with_their_package() -> None:
    assert all("." in path and path.isascii() for path in (*FILE_READERS, *FILE_WRITERS))


def test_no_module_is_said_to_change_itself() -> None:
    assert all(not module.startswith(f"{package}.") for module, package in IMPORTS_THAT_CHANGE.items())
