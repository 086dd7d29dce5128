"""A command that stands for a tool: it keeps what it is given and answers as it is told."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["Answer", "Call", "FakeCommand"]

_PROGRAM = """#!{python} -IS
import json, os, sys, time
arguments = sys.argv[1:]
known = json.load(open({answers!r}))
answer = next((known[word] for word in known if word in arguments), None)
files = {{}}
named = [word for argument in arguments for word in (argument, *argument.split("="), *argument.split("src="))]
for path in filter(os.path.isabs, [*named, os.environ.get("DOCKER_CONFIG", "")]):
    inside = [os.path.join(path, name) for name in os.listdir(path)] if os.path.isdir(path) else [path]
    for file in inside:
        if os.path.isfile(file) and os.path.getsize(file) < 65536:
            files[file] = open(file, errors="replace").read()
given = {{"arguments": arguments, "environment": dict(os.environ), "files": files}}
with open({log!r}, "a") as log:
    log.write(json.dumps(given) + "\\n")
if answer is None:
    sys.exit("it was not told what to answer: " + " ".join(arguments))
for option, content in answer["writes"].items():
    found = [b for a, b in zip(arguments, arguments[1:]) if a == option]
    found += [word.split("=", 1)[1] for word in arguments if word.startswith(option + "=")]
    with open(found[0], "w") as out:
        out.write(content)
print(answer["out"], end="", flush=True)
print(answer["err"], end="", file=sys.stderr, flush=True)
if answer["hangs"]:
    time.sleep(1000)
sys.exit(answer["status"])
"""


@dataclass(frozen=True)
class Answer:
    """What it does for one of its sub-commands: it writes to the files of its options, says something and ends."""

    out: str = ""
    err: str = ""
    status: int = 0
    writes: Mapping[str, str] = field(default_factory=dict)
    """Option whose value is a path, to what is written there."""
    hangs: bool = False
    """It does not end by itself once it has said what it says."""


@dataclass(frozen=True)
class Call:
    """What it was started with."""

    arguments: list[str]
    environment: dict[str, str]
    files: dict[str, str]
    """Content of the small files that the arguments name, themselves or by their folder, and of DOCKER_CONFIG."""

    def values(self, option: str) -> list[str]:
        """Return what an option was given, each time: ``--tag x`` and ``--tag=x``."""
        apart = [after for one, after in zip(self.arguments, self.arguments[1:], strict=False) if one == option]
        return apart + [one.partition("=")[2] for one in self.arguments if one.startswith(f"{option}=")]


class FakeCommand:
    """``FakeCommand(folder, "buildah", push=Answer(…))``: ``path`` is the executable, ``calls`` what it was given.

    Of the answers the first one is given whose name, with ``-`` for ``_``, is among the arguments; without one it fails.
    """

    def __init__(self, folder: Path, name: str, **answers: Answer) -> None:
        self._folder, self.name = folder, name
        folder.mkdir(parents=True, exist_ok=True)
        self._log, self._answers = folder / f"{name}.log", folder / f"{name}.json"
        program = _PROGRAM.format(python=sys.executable, log=str(self._log), answers=str(self._answers))
        (folder / name).write_text(program)
        (folder / name).chmod(0o755)
        self.path = str(folder / name)
        self.answers: dict[str, Answer] = {}
        self.answer(**answers)

    def answer(self, **answers: Answer) -> None:
        """Have it answer so from now on; other sub-commands stay."""
        self.answers.update({name.replace("_", "-"): one for name, one in answers.items()})
        self._answers.write_text(json.dumps({name: asdict(one) for name, one in self.answers.items()}))

    @property
    def calls(self) -> list[Call]:
        """What it was started with each time, in order."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [Call(**json.loads(line)) for line in lines]

    def of(self, word: str) -> list[Call]:
        """Return the calls that have ``word`` among their arguments."""
        return [call for call in self.calls if word in call.arguments]
