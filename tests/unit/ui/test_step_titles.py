"""Plain titles of the instructions that are written here, in the words of each engine."""

from __future__ import annotations

import pytest

from buildr_jupyter.context.dockerfile import render_dockerfile
from buildr_jupyter.model.plan import ImagePlan, Requirement
from buildr_jupyter.ui.step_titles import plain_title, step_title


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        (
            'RUN --mount=type=cache,id=buildr-pip,target=/p --mount=type=secret,id=i ["python3", "install.py", "/opt/venv", "b"]',
            "install the Python packages",
        ),
        ("COPY [app/, ./]", "copy the program"),
        ('COPY ["app/", "./"]', "copy the program"),
        ("COPY --from=packages [/opt/venv, /opt/venv]", "copy the installed packages"),
        (
            "RUN apt-get update && apt-get install -y --no-install-recommends libgl1 git && rm -rf /v",
            "install libgl1 git",
        ),
        ("RUN python install.py", None),
        ("COPY app/ ./", None),
        ("RUN install -d /x", None),
        ("FROM python:3.11-slim", "start from python:3.11-slim"),
        ("FROM docker.io/library/python:3.11-slim@sha256:" + "a" * 64, "start from docker.io/library/python:3.11-slim"),
        ("FROM python:3.11-slim AS packages", "start from python:3.11-slim"),
        ("WORKDIR /app", "work in the folder /app"),
        ("WORKDIR /srv", None),
    ],
)
def test_titles_of_engines(said: str, plain: str | None) -> None:
    assert plain_title(said) == plain


def test_every_step_that_is_rendered_has_a_plain_title() -> None:
    plan = ImagePlan(
        base="b", python="3.11", requirements=(Requirement("six==1.17.0"),), system_packages=("libgl1",), folder="nb"
    )
    shown = ("FROM", "WORKDIR", "RUN", "COPY")  # BuildKit makes no steps of the others
    lines = [line for line in render_dockerfile(plan).splitlines() if line.startswith(shown)]
    assert len(lines) == 12
    assert [line for line in lines if plain_title(line) is None] == []


def test_a_number_stands_before_the_engines_own_words_alone() -> None:
    assert step_title("RUN make", "2/5") == "[2/5] RUN make"
    assert step_title("RUN make") == "RUN make"
    assert step_title("COPY [app/, ./]", "5/5") == "copy the program"
    assert len(step_title("RUN " + "x" * 500, "1/2")) == 120
