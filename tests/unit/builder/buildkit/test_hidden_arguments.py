"""Build arguments with credentials: in no command line, and the Dockerfile is else as it was."""

from __future__ import annotations

import pytest

from buildr_jupyter.builder.buildkit.hidden_arguments import hide
from buildr_jupyter.errors import OptionError

PROXY = "http://me:staple9battery@proxy.example:3128"


def test_what_is_no_credential_stays_an_argument() -> None:
    given = {"HTTP_PROXY": "http://proxy.example:3128", "NO_PROXY": "a,b", "VERSION": "1.2"}
    hidden = hide("FROM x\nRUN a\n", given, {})
    assert (hidden.dockerfile, hidden.arguments, hidden.secrets) == ("FROM x\nRUN a\n", given, {})


def test_a_proxy_with_a_login_is_a_secret_of_each_step() -> None:
    text = (
        "# RUN no\nFROM x AS a\nrun one \\\n  # RUN no\n  && RUN two\n\n"
        'RUN <<-"EOF"\nRUN no\nEOF\nCOPY <<EOF /f\nRUN no\nEOF\n  RUN ["three"]\n'
    )
    hidden = hide(text, {"https_proxy": PROXY}, {})
    mounts = "".join(
        f"--mount=type=secret,id=buildr-https-proxy,env={name} " for name in ("HTTPS_PROXY", "https_proxy")
    )
    assert hidden.dockerfile == (
        f"# RUN no\nFROM x AS a\nrun {mounts}one \\\n  # RUN no\n  && RUN two\n\n"
        f'RUN {mounts}<<-"EOF"\nRUN no\nEOF\nCOPY <<EOF /f\nRUN no\nEOF\n  RUN {mounts}["three"]\n'
    )
    assert hidden.secrets == {"buildr-https-proxy": PROXY}
    assert hidden.arguments == {}


def test_the_settings_of_indexes_are_a_credential() -> None:
    assert hide("RUN a\n", {"FTP_PROXY": "buildr:eJw"}, {}).secrets == {"buildr-ftp-proxy": "buildr:eJw"}


def test_another_argument_becomes_the_default_of_its_arg() -> None:
    value = 'a"b$c\\d-e/f'
    hidden = hide("ARG API_TOKEN=x OTHER=1\nFROM x\nARG API_TOKEN\nARG NOT_API_TOKEN\n", {"API_TOKEN": value}, {})
    quoted = '"a\\"b\\$c\\\\d-e/f"'
    assert hidden.dockerfile == f"ARG API_TOKEN={quoted} OTHER=1\nFROM x\nARG API_TOKEN={quoted}\nARG NOT_API_TOKEN\n"
    assert (hidden.arguments, hidden.secrets) == ({}, {})
    with pytest.raises(OptionError, match="API_TOKEN") as raised:
        hide("ARG API_TOKEN\n", {"API_TOKEN": "two\nlines-of-it"}, {})
    assert "lines-of-it" not in str(raised.value)


def test_the_value_of_a_secret_variable_is_known_under_any_name() -> None:
    assert hide("ARG A\n", {"A": "correct horse"}, {"DB_PASSWORD": "correct horse"}).arguments == {}


def test_another_escape() -> None:
    assert "RUN --mount" in hide("# escape=`\nRUN a `\n RUN b\n", {"HTTP_PROXY": PROXY}, {}).dockerfile
    assert hide("# escape=`\nRUN a `\n RUN b\n", {"HTTP_PROXY": PROXY}, {}).dockerfile.endswith(" RUN b\n")
