from __future__ import annotations

from buildr_jupyter.analysis.libraries.names import Methods, words


def test_words_are_parted_by_white_space() -> None:
    assert words(" a  b\nc ") == {"a", "b", "c"}


def test_methods_are_known_of_one_library_alone_unless_more_is_said() -> None:
    assert Methods(quiet=words("get"))[1:] == (frozenset(), frozenset(), ())
