"""Each option's text becomes a value, or an error that names the option and the text."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildr_jupyter.config import parse
from buildr_jupyter.errors import OptionError
from buildr_jupyter.model.request import ClaimMount, Mount, PortBinding, Secret


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (None, ()),
        ("", ()),
        ([], ()),
        ("a b", ("a b",)),
        (["a", "b"], ("a", "b")),
        (("x", 1), ("x", "1")),
        ([8080], ("8080",)),
    ],
    ids=repr,
)
def test_strings(value: object, texts: tuple[str, ...]) -> None:
    assert parse.parse_strings(value) == texts  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [True, "1", "true", "YES", " on "])
def test_true(value: object) -> None:
    assert parse.parse_boolean("publish", value) is True


@pytest.mark.parametrize("value", [False, None, "0", "false", "No", "off", ""])
def test_false(value: object) -> None:
    assert parse.parse_boolean("publish", value) is False


@pytest.mark.parametrize("value", ["maybe", "2", "truee", 1.5])
def test_neither(value: object) -> None:
    with pytest.raises(OptionError, match=re.escape(f"publish: {value!r} is neither true nor false")):
        parse.parse_boolean("publish", value)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (None, None), ("1", 1), ("1b", 1), ("512m", 512 << 20), ("512M", 512 << 20), ("2g", 2 << 30), ("2GiB", 2 << 30),
        ("1.5k", 1536), (" 3 kb ", 3072), ("1t", 1 << 40), ("0.5k", 512),
    ],
)  # fmt: skip
def test_size(text: str | None, size: int | None) -> None:
    assert parse.parse_size("--memory", text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "0m", "-1", "1x", "m", "1.m", "1,5g", "1e3", "inf", "nan", "\u0661m", "9" * 400]
)
def test_no_size(text: str) -> None:
    with pytest.raises(OptionError, match="--memory: .* is not a size"):
        parse.parse_size("--memory", text)


@pytest.mark.parametrize("text", ["0.5", "0.9b", "0.0001k"])
def test_less_than_a_byte_is_no_size(text: str) -> None:
    """An engine takes 0 bytes for no limit at all, so that 0.5 without its unit would be none."""
    with pytest.raises(OptionError, match="--memory: .* is not a size"):
        parse.parse_size("--memory", text)


@pytest.mark.parametrize(("value", "number"), [(None, None), ("1.5", 1.5), (2, 2.0), ("1e-3", 0.001)])
def test_number(value: float | str | None, number: float | None) -> None:
    assert parse.parse_number("--cpus", value) == number


@pytest.mark.parametrize("value", ["0", "-1", "x", "", "nan", "inf", "1e999"])
def test_no_number(value: str) -> None:
    with pytest.raises(OptionError, match=re.escape(f"--cpus: {value!r} is not a number above 0")):
        parse.parse_number("--cpus", value)


@pytest.mark.parametrize(
    ("text", "binding"),
    [
        ("80", PortBinding(80, 80)), ("8080:80", PortBinding(80, 8080)), (":80", PortBinding(80, None)),
        ("80/udp", PortBinding(80, 80, protocol="udp")), ("0.0.0.0:8080:80", PortBinding(80, 8080, "0.0.0.0")),
        ("127.0.0.1::80", PortBinding(80, None)), ("[::1]:8080:80/tcp", PortBinding(80, 8080, "::1")),
        ("65535:1", PortBinding(1, 65535)),
    ],
)  # fmt: skip
def test_port(text: str, binding: PortBinding) -> None:
    assert parse.parse_port(text) == binding


@pytest.mark.parametrize(
    "text",
    ["", "0", "65536", "x", "80:", "80/sctp", "-1:80", "99999:80", "80:80:", "8_0", "+80", "\u0668\u0660", "8 0"],
)
def test_no_port(text: str) -> None:
    with pytest.raises(OptionError, match=re.escape(f"--port: {text!r} is not a port")):
        parse.parse_port(text)


def test_a_volume_of_a_cluster_is_no_folder_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "pvc").mkdir()
    mounts, claims = parse.parse_mounts(["pvc:data:/data", "pvc:/here", "pvc:models:/m:ro"], tmp_path)
    assert mounts == (Mount(tmp_path / "pvc", "/here"),)
    assert claims == (ClaimMount("data", "/data"), ClaimMount("models", "/m", read_only=True))
    with pytest.raises(OptionError, match=r"is not SRC:DST"):
        parse.parse_mounts(["pvc:data:data"], tmp_path)


def test_mount(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert parse.parse_mount("data:/data", tmp_path) == Mount((tmp_path / "data").resolve(), "/data")
    assert parse.parse_mount(f"{tmp_path}/data:/x:ro", Path("/")).read_only is True
    assert parse.parse_mount("data:/x:rw", tmp_path).read_only is False
    with pytest.raises(OptionError, match="'gone' does not exist"):
        parse.parse_mount("gone:/x", tmp_path)


@pytest.mark.parametrize("text", ["data", "data:", "data:relative", ":/x", "data:/x:ro,z"])
def test_no_mount(text: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(OptionError, match=re.escape(f"--mount: {text!r} is not SRC:DST[:ro]")):
        parse.parse_mount(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("id=token", Secret("token")), ("id=token,env=TOKEN", Secret("token", variable="TOKEN")),
        ("id=token,src=file", Secret("token", Path("/base/file"))), ("src=/f,id=t", Secret("t", Path("/f"))),
        ("id=t,source=/a,b", Secret("t", Path("/a,b"))), ("type=file,id=t,src=/f", Secret("t", Path("/f"))),
        ("type=env,id=t,src=TOKEN", Secret("t", variable="TOKEN")),
    ],
)  # fmt: skip
def test_secret(text: str, secret: Secret) -> None:
    assert parse.parse_secret(text, Path("/base")) == secret


@pytest.mark.parametrize(
    "text", ["", "token", "id=", "id=a b", "id=../x", "id=t,src=/f,env=E", "id=t,mode=0400", "env=T"]
)
def test_no_secret(text: str) -> None:
    with pytest.raises(OptionError, match=r"--secret: .* is not id=ID"):
        parse.parse_secret(text, Path("/base"))


@pytest.mark.parametrize(
    ("function", "text", "value"),
    [
        (parse.parse_python, None, None), (parse.parse_python, "3.12", "3.12"),
        (parse.parse_base, "", None), (parse.parse_base, "python:3.12-slim", "python:3.12-slim"),
        (parse.parse_base, "./a b.tar", "./a b.tar"), (parse.parse_base, "oci-archive:/a b", "oci-archive:/a b"),
        (parse.parse_apt, "libstdc++6", "libstdc++6"), (parse.parse_apt, "git=1:2.39.2-1~x", "git=1:2.39.2-1~x"),
        (parse.parse_param, "N", ("N", None)), (parse.parse_param, "N=", ("N", "")), (parse.parse_param, "N=a=b", ("N", "a=b")),
        (parse.parse_run_variable, "A", ("A", None)), (parse.parse_run_variable, "A=b=c", ("A", "b=c")),
        (parse.parse_agent, "default", ("default", None)), (parse.parse_agent, "a=/run/s", ("a", "/run/s")),
        (parse.parse_platforms, None, ()), (parse.parse_platforms, " linux/amd64, linux/arm/v7,", ("linux/amd64", "linux/arm/v7")),
    ],
)  # fmt: skip
def test_good_texts(function: Callable[[str | None], object], text: str | None, value: object) -> None:
    assert function(text) == value


@pytest.mark.parametrize(
    ("function", "option", "texts"),
    [
        (parse.parse_python, "--python", ["3", "2.7", "3.12.1", "3.\u0661", "python3.12", ""]),
        (parse.parse_base, "--base", ["-x", "a b", "a\nRUN x", "$X", "a;b", "`x`", "\x1b[1m"]),
        (parse.parse_apt, "--apt", ["", "-y", "a", "git nano", "git;x", "Git", "git="]),
        (parse.parse_param, "--param", ["", "1a", "a b=1", "a-b"]),
        (parse.parse_run_variable, "--run-env", ["", "1A=x", "A B=c", "A-B"]),
        (parse.parse_agent, "--ssh", ["", "=x", "a="]),
        (parse.parse_platforms, "--platform", ["amd64", "linux/", "linux/arm/v\u0667", "Linux/amd64", "linux/amd64/x"]),
    ],
)  # fmt: skip
def test_bad_texts_are_named_with_their_option(
    function: Callable[[str], object], option: str, texts: list[str]
) -> None:
    for text in texts:
        with pytest.raises(OptionError) as caught:
            function(text)
        assert str(caught.value).startswith(f"{option}: ")
        if option not in ("--param", "--run-env"):
            assert repr(text) in str(caught.value)


def test_choice_and_assignment() -> None:
    assert parse.parse_choice("ui", "json", ("auto", "json")) == "json"
    with pytest.raises(OptionError, match="--ui: 'x' is none of auto, json"):
        parse.parse_choice("ui", "x", ("auto", "json"))
    assert parse.parse_assignment("--env", "A=b=c") == ("A", "b=c")
    with pytest.raises(OptionError, match="--env: 'A' has no '='") as caught:
        parse.parse_assignment("--env", "A")
    assert caught.value.hint == "write --env NAME=VALUE"


PARSERS: list[Callable[[str], object]] = [
    parse.parse_python, parse.parse_base, parse.parse_apt, parse.parse_param, parse.parse_run_variable, parse.parse_port,
    parse.parse_agent, parse.parse_platforms, lambda text: parse.parse_secret(text, Path("/")),
    lambda text: parse.parse_size("--memory", text), lambda text: parse.parse_number("--cpus", text),
    lambda text: parse.parse_boolean("x", text), lambda text: parse.parse_assignment("--env", text),
]  # fmt: skip


@given(st.sampled_from(PARSERS), st.text(alphabet="0189.:/,=id-_m \n\u0661", max_size=12) | st.text(max_size=12))
def test_any_text_is_a_value_or_an_option_error(parser: Callable[[str], object], text: str) -> None:
    try:
        parser(text)
    except OptionError as error:
        refused: OptionError | None = error
    else:
        refused = None
    assert refused is None or str(refused)


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800), ("12h", 43200), ("7d", 604800), ("2w", 1209600)])
def test_ages(text: str, seconds: float) -> None:
    assert parse.parse_age(text) == seconds
    for wrong in (text[:-1], f"-{text}", f"{text}x", ""):
        with pytest.raises(ValueError, match="is no time"):
            parse.parse_age(wrong)


def test_where_the_image_is_written(tmp_path: Path) -> None:
    (tmp_path / "there.d").mkdir()
    for text in ("image.tar", "new/image.tar", "layout", "v1.2", "layout.oci/", "there.d", "../x"):
        assert parse.parse_output(text, tmp_path) == tmp_path / text
    assert parse.parse_output(None, tmp_path) is None
    assert parse.parse_output("~/a.tar", tmp_path) == Path.home() / "a.tar"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("out.txt", "is neither a FILE.tar nor a folder that is there"),
        ("image.tar.gz", "is neither a FILE.tar nor a folder that is there"),
        ("image.tgz", "is neither a FILE.tar nor a folder that is there"),
        ("there", "is a file that is there, and no FILE.tar"),
        ("folder.tar", "is a folder, and an archive is a file"),
    ],
)
def test_where_no_image_is_written(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    (tmp_path / "folder.tar").mkdir()
    with pytest.raises(OptionError, match=f"--output: '{text}' {said}") as caught:
        parse.parse_output(text, tmp_path)
    assert caught.value.hint


def test_gpus_and_ids_of_images() -> None:
    assert [parse.parse_gpus(text) for text in (None, "all", "2")] == [None, "all", "2"]
    for text in ("0", "x", "-1", "1.5", "²"):
        with pytest.raises(OptionError, match="--gpus"):
            parse.parse_gpus(text)
    assert parse.parse_image_id("ab" * 32) == parse.parse_image_id(f"sha256:{'ab' * 32}") == f"sha256:{'ab' * 32}"
    for text in ("report", "sha256:abc", "AB" * 32, "a" * 12):
        with pytest.raises(OptionError, match="--trust-image: .* is no id of an image"):
            parse.parse_image_id(text)
