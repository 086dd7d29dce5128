from __future__ import annotations

from dataclasses import replace

import pytest

from buildr_jupyter.context.dockerfile import (
    MARKER,
    quote_value,
    render_dockerfile,
    render_dockerignore,
    render_requirements,
    render_script_dockerfile,
)
from buildr_jupyter.context.dockerfile_parse import parse_dockerfile
from buildr_jupyter.model.plan import CustomDockerfile, ImagePlan, Requirement

PLAN = ImagePlan("python:3.11-slim", "3.11")


def lines(plan: ImagePlan) -> list[str]:
    return render_dockerfile(plan).splitlines()


def test_a_plain_plan_is_one_stage_that_ends_as_its_user() -> None:
    text = lines(PLAN)
    assert text[0].startswith(MARKER)
    assert [line for line in text if line.startswith("FROM")] == ["FROM python:3.11-slim"]
    assert text[-2:] == ["USER 1000:0", 'ENTRYPOINT ["python", "main.py"]']
    assert render_dockerfile(PLAN) == render_dockerfile(PLAN)


def test_packages_are_made_in_stages_of_their_own() -> None:
    full = replace(PLAN, system_packages=("git", "curl"), requirements=(Requirement("rich==13.0", "why"),))
    text = render_dockerfile(full)
    assert [line for line in text.splitlines() if line.startswith("FROM")] == [
        "FROM python:3.11-slim AS system", "FROM system AS packages", "FROM system",
    ]  # fmt: skip
    assert "--no-install-recommends git curl &&" in text
    assert "wheels/" not in text
    assert "COPY --from=packages" in text
    assert "COPY --from=packages" not in render_dockerfile(replace(full, requirements=()))
    assert render_requirements(full) == "rich==13.0\n"


def test_a_value_with_a_line_end_is_set_by_the_entrypoint() -> None:
    text = render_dockerfile(replace(PLAN, environment=(("A", "x"), ("B", "two\nlines"))))
    assert 'A="x"' in text
    assert text.endswith('ENTRYPOINT ["env", "B=two\\nlines", "python", "main.py"]\n')


def test_a_dockerfile_of_the_users_own_is_taken_as_it_is() -> None:
    own = "FROM scratch\n# mine\n"
    assert render_dockerfile(replace(PLAN, dockerfile=CustomDockerfile(own))) == own


@pytest.mark.parametrize("value", ["plain", 'a "b" c', "$HOME and \\", "C:\\temp", "ü ∞", "`x`"])
def test_what_is_quoted_is_read_back_as_it_was(value: str) -> None:
    quoted = quote_value(value)
    inner = quoted[1:-1].replace('\\"', '"').replace("\\$", "$").replace("\\\\", "\\")
    assert (quoted[0], quoted[-1], inner) == ('"', '"', value)


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b"])
def test_a_line_end_has_no_quotes(value: str) -> None:
    with pytest.raises(ValueError, match="line end or NUL"):
        quote_value(value)


def test_a_script_is_built_with_its_folder() -> None:
    text = render_script_dockerfile("python:3.11-slim", "run me.py", with_requirements=True)
    assert text.startswith(MARKER)
    assert "RUN pip install --no-cache-dir -r requirements.txt" in text
    assert text.endswith('ENTRYPOINT ["python", "run me.py"]\n')
    assert "requirements" not in render_script_dockerfile("x", "run.py", with_requirements=False)
    assert len(parse_dockerfile(text).stages) == 1


def test_what_belongs_in_no_image_is_ignored() -> None:
    assert {"**/.git", "**/.venv", "buildr.json"} <= set(render_dockerignore().splitlines())
