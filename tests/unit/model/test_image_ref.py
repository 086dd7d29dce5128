"""An image's name is parsed once: its parts come back as they were written, and a wrong one is named with its fault."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from buildr_jupyter.errors import ImageRefError
from buildr_jupyter.model.image_ref import ImageRef

DIGEST = "sha256:" + "0123456789abcdef" * 4
COMPONENTS = st.from_regex(r"[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}", fullmatch=True)
HOSTS = st.sampled_from(["localhost", "ghcr.io", "localhost:5000", "10.0.0.1:80", "[::1]:5000", "Registry.Example"])
PATHS = st.lists(COMPONENTS, min_size=1, max_size=3).map("/".join)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)


@given(st.none() | HOSTS, PATHS, st.none() | TAGS, st.none() | st.just(DIGEST))
def test_what_is_put_together_is_taken_apart_again(
    host: str | None, path: str, tag: str | None, digest: str | None
) -> None:
    first, slash, _ = path.partition("/")
    assume(host or not slash or not ("." in first or first == "localhost"))  # by Docker's grammar it is a registry
    text = (f"{host}/" if host else "") + path + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    ref = ImageRef.parse(text)
    assert (ref.registry, ref.path, ref.tag, ref.digest) == (host, path, tag, digest)
    assert str(ref) == text
    assert ref.name == text[: len(text) - len(f":{tag}" if tag else "") - len(f"@{digest}" if digest else "")]


@given(st.text(max_size=40))
def test_any_text_is_a_reference_that_reads_back_or_an_error_that_names_it(text: str) -> None:
    try:
        ref = ImageRef.parse(text)
    except ImageRefError as caught:
        error = caught
    else:
        assert ImageRef.parse(str(ref)) == ref
        return
    assert repr(text) in str(error)
    assert error.hint


@given(st.text(alphabet="aB0 _-./:é", min_size=1, max_size=20))
def test_a_suggested_name_is_one(text: str) -> None:
    try:
        ImageRef.parse(text)
    except ImageRefError as error:
        if found := re.search(r": (\S+) would do$", error.hint or ""):
            assert ImageRef.parse(found[1])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("   ", "it is empty"),
        ("a b", "white space"),
        ("Team/App", "capital letters"),
        ("app:", "the tag after ':' is empty"),
        ("app:" + "t" * 129, "the tag has 129 characters"),
        ("app:-x", "'-x' is not a tag"),
        ("app@sha256:12", "'sha256:12' is not a digest"),
        ("app@" + DIGEST.upper(), "is not a digest"),
        ("https://ghcr.io/app", "'https:' is not a registry host"),
        ("-bad.host/app", "'-bad.host' is not a registry host"),
        ("app\n", "white space"),
        ("a" * 300, "it has 300 characters"),
        ("app//x", "'app//x' is not a repository name"),
    ],
)
def test_the_fault_is_named(text: str, why: str) -> None:
    with pytest.raises(ImageRefError, match=re.escape(why)):
        ImageRef.parse(text)


@pytest.mark.parametrize(
    ("text", "host", "path", "location"),
    [
        ("python", "docker.io", "library/python", "docker.io/library/python"),
        ("docker.io/python:3", "docker.io", "library/python", "docker.io/library/python"),
        ("index.docker.io/python", "index.docker.io", "library/python", "index.docker.io/library/python"),
        ("team/app", "docker.io", "team/app", "docker.io/team/app"),
        ("ghcr.io/app", "ghcr.io", "app", "ghcr.io/app"),
        ("localhost:5000/app", "localhost:5000", "app", "localhost:5000/app"),
    ],
)
def test_where_a_registry_has_it(text: str, host: str, path: str, location: str) -> None:
    ref = ImageRef.parse(text)
    assert (ref.registry_host, ref.registry_path, ref.location) == (host, path, location)


def test_tags() -> None:
    plain, pinned = ImageRef.parse("app"), ImageRef.parse(f"app:1@{DIGEST}")
    assert (plain.local_tag, str(plain.tagged())) == ("latest", "app:latest")
    assert pinned.tagged() is pinned
    assert ImageRef.parse(f"app@{DIGEST}").tagged().tag is None, "a digest says which image without a tag"
    assert str(pinned.with_tag("2")) == "app:2", "another tag is another image, so the digest goes"
    with pytest.raises(ImageRefError, match="tag 'a b': 'a b' is not a tag"):
        plain.with_tag("a b")
