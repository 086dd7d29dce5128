"""Completion scripts, tried in the shells that are here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from buildr_jupyter.cli import make_parser
from buildr_jupyter.commands.completion import SHELLS, render_completion


def completed(script: Path, *words: str) -> list[str]:
    """Return what bash offers for the last of the words behind ``buildr``."""
    line = " ".join(f"'{word}'" for word in ("buildr", *words))
    code = (
        f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words)}; _buildr; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    ended = subprocess.run(["bash", "--norc", "-c", code], capture_output=True, text=True, check=True)
    assert ended.stderr == ""
    return ended.stdout.split()


def test_bash_offers_commands_options_and_choices(tmp_path: Path) -> None:
    script = tmp_path / "buildr.bash"
    script.write_text(render_completion(make_parser(), "bash"))
    assert completed(script, "ru") == ["run", "runs"]
    assert completed(script, "build", "--no-ca") == ["--no-cache"]
    assert completed(script, "build", "--ui", "w") == ["widget"]
    assert completed(script, "build", "--base", "--") == []  # a value follows, which may be a path
    assert completed(script, "runs", "pr") == ["prune"]
    assert completed(script, "nothing", "x") == []


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_option_is_in_each_script(shell: str, tmp_path: Path) -> None:
    text = render_completion(make_parser(), shell)
    for word in ("build", "completion", "run", "collect", "no-collect", "older-than", "%%containerize"):
        assert word in text or (shell == "bash" and word.startswith("%"))
    if shutil.which(shell):
        (tmp_path / "script").write_text(text)
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)
