from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildr_jupyter.context import dockerfile
from buildr_jupyter.context import folder as context
from buildr_jupyter.errors import ContextError
from buildr_jupyter.model.plan import CustomDockerfile, FileEntry, ImagePlan, Requirement
from buildr_jupyter.process.confined import file_entry


def plan(**changes: object) -> ImagePlan:
    made = ImagePlan(
        base="python:3.11-slim",
        python="3.11",
        requirements=(Requirement("pandas==2.2.3"),),
        files=(FileEntry.from_bytes("app/main.py", b"print(1)\n"), FileEntry.from_bytes("app/run.sh", b"", mode=0o755)),
        notebook="nb.ipynb",
        cell="2",
    )
    return replace(made, **changes)


def test_dependencies_come_before_code_and_the_entrypoint_is_exec_form() -> None:
    text = dockerfile.render_dockerfile(plan())
    lines, words = text.splitlines(), text.split()
    assert lines[0].startswith(dockerfile.MARKER)
    assert text.index("requirements.txt") < text.index('COPY ["app/", "./"]')
    assert lines[-1] == 'ENTRYPOINT ["python", "main.py"]'
    assert lines[-2] == "USER 1000:0"
    assert 'PYTHONUNBUFFERED="1"' in words
    assert f'"io.buildr.content-digest"="{plan().content_digest}"' in words
    assert text == dockerfile.render_dockerfile(plan())


def test_stages_are_there_only_when_they_are_needed() -> None:
    bare = dockerfile.render_dockerfile(plan(requirements=()))
    assert bare.count("FROM ") == 1
    assert "venv" not in bare
    full = dockerfile.render_dockerfile(plan(system_packages=("libgl1",)))
    assert "FROM python:3.11-slim AS system" in full
    assert "FROM system AS packages" in full
    assert "libgl1" in full
    assert "wheels/" not in full
    assert "wheels/" in dockerfile.render_dockerfile(
        plan(wheels=(FileEntry.from_bytes("wheels/a-1-py3-none-any.whl", b""),))
    )


def test_a_custom_dockerfile_is_taken_as_it_is() -> None:
    text = "FROM x\nRUN <<EOF\necho hi\nEOF\n"
    assert dockerfile.render_dockerfile(plan(dockerfile=CustomDockerfile(text))) == text


@pytest.mark.parametrize(
    "text",
    [
        dockerfile.render_dockerfile(
            plan(system_packages=("libgl1",), ports=("80/tcp",), environment=(("A", "x"), ("B", "1\n2")))
        ),
        dockerfile.render_dockerfile(plan(requirements=())),
        dockerfile.render_script_dockerfile("python:3.11-slim", "sub dir/app.py", with_requirements=True),
    ],
    ids=["everything", "bare", "script"],
)
def test_hadolint_finds_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(text)
    linter = Path(sys.executable).parent / "hadolint"
    ran = subprocess.run([linter, "--no-color", tmp_path / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")


def unquote(quoted: str) -> str:
    """Read a double-quoted value as BuildKit's and the classic builder's word lexer does."""
    assert quoted[0] == quoted[-1] == '"'
    out, rest = [], iter(quoted[1:-1])
    for char in rest:
        if char == "\\":
            following = next(rest)
            out.append(following if following in '"$\\' else "\\" + following)
        else:
            assert char not in '"$', "a bare quote or dollar would end or expand the value"
            out.append(char)
    return "".join(out)


@given(st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=("Cs",))))
def test_values_survive_quoting(value: str) -> None:
    assert unquote(dockerfile.quote_value(value)) == value


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_]{1,8}", fullmatch=True),
        st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20),
    )
)
def test_every_environment_value_is_in_the_dockerfile_once(environment: dict[str, str]) -> None:
    pairs = tuple(sorted(environment.items()))
    lines = dockerfile.render_dockerfile(plan(environment=pairs)).split("\n")
    entrypoint = json.loads(next(line for line in lines if line.startswith("ENTRYPOINT")).removeprefix("ENTRYPOINT "))
    for name, value in pairs:
        if "\n" in value or "\r" in value:
            assert f"{name}={value}" in entrypoint
        else:
            line = f"    {name}={dockerfile.quote_value(value)}"
            assert lines.count(line) + lines.count(line + " \\") == 1


def test_a_line_end_is_never_pasted_into_a_dockerfile() -> None:
    with pytest.raises(ValueError, match="line end"):
        dockerfile.quote_value("a\nRUN evil")
    text = dockerfile.render_dockerfile(plan(notebook='x"\nRUN evil\n.ipynb', labels=(("k", "$(evil)\nUSER root"),)))
    assert not [line for line in text.splitlines() if line.startswith(("RUN evil", "USER root"))]
    assert "\\$(evil) USER root" in text


def test_the_ignore_file_has_the_seeds_entries() -> None:
    text = dockerfile.render_dockerignore()
    for name in ("__pycache__", "*.pyc", ".git", ".venv", "*.egg-info", ".pytest_cache"):
        assert name in text


def test_the_folder_is_whole_private_and_replaced_by_rename(tmp_path: Path) -> None:
    folder = context.write_folder(plan(), tmp_path / "out")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert found == [
        ".dockerignore", "Dockerfile", "app/main.py", "app/run.sh", "buildr.json", "install.py", "requirements.txt",
    ]  # fmt: skip
    assert os.access(folder / "app/run.sh", os.X_OK)
    context.write_folder(plan(files=(FileEntry.from_bytes("app/main.py", b"print(2)\n"),)), folder)
    assert (folder / "app/main.py").read_text() == "print(2)\n"
    assert not (folder / "app/run.sh").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_holds_just_this_is_left_and_any_other_is_replaced(tmp_path: Path) -> None:
    folder = context.write_folder(plan(), tmp_path / "ctx")
    before = folder.stat().st_ino
    assert context.write_folder(plan(), folder).stat().st_ino == before
    changes: list[Callable[[], object]] = [
        lambda: (folder / "app" / "main.py").write_text("print(2)\n"),
        lambda: (folder / "app" / "main.py").chmod(0o600),
        lambda: (folder / "app" / "more.py").write_text(""),
        lambda: (folder / "app" / "empty").mkdir(),
        lambda: (folder / "requirements.txt").unlink(),
        lambda: (folder / "app").chmod(0o700),
        lambda: folder.chmod(0o755),
        lambda: ((folder / "app" / "run.sh").unlink(), (folder / "app" / "run.sh").symlink_to("/dev/null")),
        lambda: os.utime(folder),
    ]
    for number, change in enumerate(changes):
        change()
        before = folder.stat().st_ino
        context.write_folder(plan(), folder)
        assert (folder.stat().st_ino == before) == (number == len(changes) - 1), number
        assert (folder / "app" / "main.py").read_text() == "print(1)\n"
        assert {path.name for path in (folder / "app").iterdir()} == {"main.py", "run.sh"}
        assert stat.S_IMODE((folder / "app").stat().st_mode) == 0o755


def test_a_stranger_s_folder_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("dear")
    with pytest.raises(ContextError, match="is not empty"):
        context.write_folder(plan(), tmp_path)
    (tmp_path / "buildr.json").write_text('{"other": 1}')
    with pytest.raises(ContextError, match="is not empty"):
        context.write_folder(plan(), tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "dear"
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(ContextError, match="is not a folder"):
        context.write_folder(plan(), tmp_path / "link")


def test_a_file_that_changes_between_plan_and_write_fails_and_leaves_the_old_folder(tmp_path: Path) -> None:
    source = tmp_path / "data.csv"
    source.write_text("one")
    folder = context.write_folder(plan(), tmp_path / "out")
    entry = file_entry("app/data.csv", source, source.parent)
    source.write_text("two")
    with pytest.raises(ContextError, match=r"'app/data\.csv' changed"):
        context.write_folder(plan(files=(entry,)), folder)
    assert (folder / "app/main.py").read_text() == "print(1)\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "out"]


def test_a_path_that_climbs_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContextError, match="outside"):
        context.write_folder(plan(files=(FileEntry.from_bytes("app/../../evil", b""),)), tmp_path / "out")
    assert not (tmp_path / "evil").exists()


def test_the_cache_key_is_readable_and_unique() -> None:
    one = context.cache_key(Path("/a/My nb.ipynb"), "1")
    assert one.startswith("My-nb-")
    assert (
        len({one, context.cache_key(Path("/b/My nb.ipynb"), "1"), context.cache_key(Path("/a/My nb.ipynb"), "2")}) == 3
    )


def test_a_folder_that_may_not_be_looked_at_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by the fault matrix; root may look everywhere, so the look itself is refused here."""

    def refused(self: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_symlink", refused)
    with pytest.raises(ContextError, match="cannot be written: Permission denied"):
        context.write_folder(ImagePlan(base="b", python="3.11"), tmp_path / "made")
