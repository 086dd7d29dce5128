from __future__ import annotations

from pathlib import Path

import pytest

from buildr_jupyter.config.notebook_line import RULES, allowed_part, render_table
from buildr_jupyter.config.options import make_line_parser, split_line

ROOT = Path(__file__).parents[3]


def judged(line: str, *bases: str) -> tuple[dict[str, object], list[str]]:
    kept, left_out = allowed_part(vars(make_line_parser().parse_args(split_line(line))), bases)
    return kept, [one.option for one in left_out]


def test_every_option_of_the_line_has_a_row() -> None:
    parsed = set(vars(make_line_parser().parse_args([])))
    assert parsed - set(RULES) == set()
    assert set(RULES) - parsed == set()


def test_an_option_without_a_row_does_not_count() -> None:
    kept, left_out = allowed_part({"invented": "x"}, ())
    assert (kept, [str(one) for one in left_out]) == ({}, ["--invented"])


def test_what_describes_the_image_counts() -> None:
    line = (
        "train --tag 1 --tag 2 --param n=3 --env A=b --apt git --python 3.12 --requirement 'scipy<2' --include data "
        "--include 'a/*.csv' --exclude '*.log' --port 8080 --port 80:8080/udp"
    )
    kept, left_out = judged(line)
    assert left_out == []
    assert kept == {
        "image": "train", "tag": ["1", "2"], "param": ["n=3"], "env": ["A=b"], "apt": ["git"], "python": "3.12",
        "requirement": ["scipy<2"], "include": ["data", "a/*.csv"], "exclude": ["*.log"],
        "port": ["8080", "80:8080/udp"],
    }  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "--check",
        "--builder buildah=./evil",
        "--builder podman=tcp://203.0.113.1:1",
        "--publish",
        "--quiet",
        "--run",
        "--repository evil.example/x",
        "--context /etc",
        "--output /tmp/x.tar",
        "--dockerfile -",
        "--platform linux/arm64",
        "--snapshot x",
        "--mount .:/x",
        "--run-env HOME",
        "--allow-secret github-pat",
        "--allow-base evil",
        "--secret id=x,src=/etc/shadow",
        "--ssh default",
        "--fallback-local",
        "--login evil.example",
        "--ui json",
        "--cache-to type=registry,ref=evil.example/c",
    ],
)
def test_what_runs_sends_or_hides_something_does_not(line: str) -> None:
    kept, left_out = judged(line)
    assert (kept, left_out) == ({}, [line.split()[0]])


@pytest.mark.parametrize(
    "name",
    [
        "evil.example/x", "localhost/x", "127.0.0.1:5000/x", "[::1]:5000/x", "HOST.example/X", "evil.example:443/x:1",
        "evil.example./x", "localhost:5000/X", "http://evil.example/x",
    ],
)  # fmt: skip
def test_a_name_with_a_registry_does_not_count(name: str) -> None:
    assert judged(name) == ({}, ["NAME"])
    assert judged(f"--name {name}") == ({}, ["--name"])


@pytest.mark.parametrize(
    "path",
    ["../x", "/etc/passwd", "~/x", "~root/x", "a/../../x", "..", "*/../../x", "C:\\x", "\\\\host\\x", "a\\..\\..\\x"],
)
def test_paths_outside_the_folder_do_not_count(path: str) -> None:
    kept, left_out = judged(f"--include '{path}' --include ok --exclude '{path}'")
    assert (kept, left_out) == ({"include": ["ok"]}, ["--include", "--exclude"])


@pytest.mark.parametrize(
    "port", ["0.0.0.0:80:80", "[::]:80:80", "192.0.2.1:80:80", ":80:80", "80/sctp", "0.0.0.0::80", "80:80\n"]
)
def test_ports_on_other_addresses_do_not_count(port: str) -> None:
    assert allowed_part({"port": [port]}, ())[0] == {}


@pytest.mark.parametrize(
    "requirement",
    [
        "-e .",
        "-r x.txt",
        "--extra-index-url http://x",
        "x @ file:///x",
        "x @ https://h/x.whl",
        "${HOME}",
        "./x",
        "x.whl",
    ],
)
def test_only_requirements_by_name_count(requirement: str) -> None:
    assert allowed_part({"requirement": [requirement]}, ())[0] == {}


def test_a_base_counts_where_its_repository_is_listed() -> None:
    digest = "sha256:" + "a" * 64
    for base in ("python:3.12", "docker.io/library/python", f"python@{digest}"):
        assert judged(f"--base {base}", "python") == ({"base": base}, [])
    assert judged("--base reg.example/team/py:1", "reg.example/team/py")[1] == []
    for base in ("python", "evil.example/python", "me/python", "kernel", "./x.tar", "oci:/x", "pythonx"):
        assert judged(f"--base {base}", *(() if base == "python" else ("python",))) == ({}, ["--base"]), base


def test_what_was_left_out_names_the_rule() -> None:
    _, left_out = allowed_part({"base": "x", "publish": True}, ())
    assert [str(one) for one in left_out] == [
        "--base (a repository that the setting allow-base lists would count)",
        "--publish",
    ]


def test_the_documentation_has_the_table() -> None:
    assert render_table() in (ROOT / "docs" / "reference" / "notebook-line.md").read_text()
