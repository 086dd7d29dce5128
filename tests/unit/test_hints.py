"""Hints: what each names exists, and who follows it gets further.

A trial provokes an error, takes what to do from the text of its hint, and does it. Each hint that names a line to use
has a trial here, or stands in ``ELSEWHERE`` with the reason and the test that shows its case.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nbformat
import pytest

from buildr_jupyter import cli
from buildr_jupyter.builder.run_mounts import read_secrets, ssh_agents
from buildr_jupyter.builder.selection import select
from buildr_jupyter.config import settings
from buildr_jupyter.config.options import Options, make_line_parser, make_options
from buildr_jupyter.config.requirement_text import parse_requirement
from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.dependencies.index_config import read_settings
from buildr_jupyter.errors import BuildrError
from buildr_jupyter.model.proof import Proof
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.notebook.cells import CellRun, transform
from buildr_jupyter.oci.interpreter_base import kernel_base
from buildr_jupyter.oci.layer import compressor
from buildr_jupyter.oci.store import Store
from buildr_jupyter.pipeline import stages
from buildr_jupyter.pipeline.planner import Assembly, CellSource, assemble
from buildr_jupyter.secretscan import scan
from tests.fakes import bases
from tests.fakes.credentials import fakes
from tests.fakes.index import wheel
from tests.fakes.registry import FakeRegistry
from tests.unit.hint_texts import (
    IMPERATIVES,
    ROOT,
    Hint,
    first_words,
    hints,
    messages,
    modules,
    names_a_line,
    package_hints,
    unknown_words,
)

MINE = Interpreter.current().minor
OTHER = "3.9" if MINE != "3.9" else "3.10"
IN_DOCUMENTS = {
    "--prices": "an option of the image that the tutorial makes",
    "--n": "a parameter of the image in the example",
    "--rate": "a parameter of the image in the page of a week",
    "--strict": "mypy's",
    "--most": "of python -m tests.proofs",
    "--params-file": "of the image's own command line",
}


# -- what is named exists ---------------------------------------------------------------------------------------------


def test_each_option_and_command_that_is_named_exists() -> None:
    told = set()
    for module, source in modules():
        told |= {(module, text) for text in messages(source)}
        told |= {(hint.module, hint.text) for hint in hints(source, module)}
    assert len(told) > 300
    assert {(module, word) for module, text in told for word in unknown_words(text)} == set()


def test_each_option_and_command_of_the_documents_exists() -> None:
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        found = {word for line in path.read_text("utf-8").splitlines() for word in unknown_words(line)}
        assert found <= set(IN_DOCUMENTS), path.name


def test_each_hint_starts_with_an_imperative() -> None:
    told = {(module, word) for module, source in modules() for word in first_words(source)}
    assert len(told) > 300
    assert {(module, word) for module, word in told if word not in IMPERATIVES} == set()


@pytest.mark.parametrize(
    "source",
    [
        "raise BuildrError('x', hint='is it up?')",
        "raise BuildrError('x', hint=f'{a}' if a else 'is it up?')",
        "raise BuildrError('x', hint=known.get('a', 'is it up?'))",
        "raise BuildrError('x', hint=nearest_hint(a, b, 'is it up?'))",
        "yield BuildWarning('x', f'is {it} up?')",
        "_HINTS = ((pattern, 'is it up?'),)",
        "HINTS: dict[str, str] = {'x': 'is it up?'}",
        "reason, hint = 'it waits', 'is it up?'",
        "def _base_hint(x):\n    return 'is it up?'",
    ],
)
def test_a_planted_question_is_seen(source: str) -> None:
    assert list(first_words(source)) == ["is"]


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("raise BuildrError('x', hint='take --py-version away')", "--py-version"),
        ("BuildWarning('x', f'try buildr heal {name}')", "buildr heal"),
        ("_HINTS = {1: 'give it with --secrets NAME'}", "--secrets"),
        ("def _hint(x):\n    return 'say --twice'", "--twice"),
    ],
)
def test_a_planted_word_is_seen(source: str, word: str) -> None:
    assert [found for hint in hints(source, "m") for found in unknown_words(hint.text)] == [word]
    assert not unknown_words("docker build --rm --load, then buildr build NOTEBOOK --builder docker")


# -- the trials -------------------------------------------------------------------------------------------------------


@dataclass
class World:
    """A folder with a notebook's files, the command line, and what was hinted so far."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    hinted: list[str] = field(default_factory=list)

    def hint(self, act: Callable[[], object]) -> str:
        """Return the hint of the error that ``act`` must end with."""
        with pytest.raises(BuildrError) as raised:
            act()
        assert raised.value.hint, raised.value
        self.hinted.append(raised.value.hint)
        return raised.value.hint

    def command(self, *words: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = cli.main(list(words))
        return status, out.getvalue(), err.getvalue()

    def hint_of_command(self, *words: str) -> str:
        status, _, err = self.command(*words)
        found = re.search(r"^  hint: (.*)$", err, re.MULTILINE)
        assert status, "the command must fail first"
        assert found, err
        self.hinted.append(found[1])
        return found[1]

    def works(self, *words: str) -> str:
        status, out, err = self.command(*words)
        assert status == 0, err
        return out

    def notebook(self, *cells: str) -> str:
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
        nbformat.write(made, self.folder / "nb.ipynb")
        return str(self.folder / "nb.ipynb")

    def options(self, *words: str) -> Options:
        return make_options(vars(make_line_parser().parse_args(words)), base_folder=self.folder)

    def plan(self, *cells: str, words: tuple[str, ...] = (), kernel: dict[str, Any] | None = None) -> Assembly:
        status = None if kernel is None else "ok"
        runs = tuple(CellRun(one, transform(one), index=n, status=status) for n, one in enumerate(cells))
        source = CellSource(runs, runs[-1], self.folder, "nb.ipynb", kernel)
        return assemble(source, self.options(*words), Interpreter.current(), {"PIP_CONFIG_FILE": "/dev/null"})


TRIALS: dict[tuple[str, str], Callable[[World], None]] = {}
"""(module, how the hint begins) to its trial."""


def trial(module: str, begins: str) -> Callable[[Callable[[World], None]], Callable[[World], None]]:
    def kept(function: Callable[[World], None]) -> Callable[[World], None]:
        TRIALS[module, begins] = function
        return function

    return kept


def option(hint: str, name: str) -> tuple[str, ...]:
    """Return the option of this name as the hint writes it, with its value, as words of a shell."""
    found = re.search(rf"{name} (?:'[^']*'|[^\s,;)]+(?:,\w+=[^\s;)]+)?)", hint)
    assert found, hint
    return tuple(shlex.split(found[0]))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("BUILDR_STORE", str(tmp_path / "cache" / "store"))
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return World(folder, monkeypatch)


def matches(hint: Hint, said: str) -> bool:
    """Tell whether a hint that was shown is, or has in it, what this literal makes."""
    return re.search(re.sub(r"\\\{\\\}|NAME", ".*", re.escape(hint.text)), said) is not None


def of(module: str, begins: str) -> list[Hint]:
    return [hint for hint in package_hints() if hint.module == module and hint.text.startswith(begins)]


@trial("export.data_files", "carry it with --include {}")
def try_1(world: World) -> None:
    (world.folder.parent / "my data.csv").write_text("1")
    nb = world.notebook("%%containerize x\nprint(open('../my data.csv').read())")
    hint = world.hint_of_command("export", nb, "--out", "made")
    world.works("export", nb, "--out", "made", *option(hint, "--include"))
    assert Path("made/app/my data.csv").read_text() == "1"
    world.works("export", nb, "--out", "mounted", *option(hint, "--mount"))
    assert not Path("mounted/app/my data.csv").exists()


@trial("export.data_files", "carry it all the same with --include {}")
def try_2(world: World) -> None:
    with (world.folder / "big.bin").open("wb") as stream:
        stream.truncate((100 << 20) + 1)
    code = "open('big.bin').read()"
    hint = world.hint(lambda: world.plan(code))
    assert any(e.path == "app/big.bin" for e in world.plan(code, words=option(hint, "--include")).plan.files)
    assert len(world.plan(code, words=option(hint, "--mount")).plan.files) == 1


@trial("export.outside_paths", "carry it with --root {} {}")
def try_outside(world: World) -> None:
    (world.folder.parent / "my data.csv").write_text("1")
    nb = world.notebook("%%containerize x\nname = '../my data.csv'\nprint(open(name).read())")
    (warning,) = world.plan("name = '../my data.csv'\nprint(open(name).read())").warnings
    hint = warning.hint or ""
    world.hinted.append(hint)
    world.works("export", nb, "--out", "made", *option(hint, "--root"), *option(hint, "--include"))
    assert Path("made/app/my data.csv").read_text() == "1"


@trial("cli", "name what to build: buildr build NOTEBOOK, or --from-context DIR")
def try_3(world: World) -> None:
    nb = world.notebook("%%containerize x\nprint(1)")
    world.works("export", nb, "--out", "DIR")
    hint = world.hint_of_command("build")
    first, second = hint.partition(": ")[2].split(", or ")
    world.works(*first.replace("NOTEBOOK", nb).split()[1:], "--dry-run")
    world.works("build", *second.split(), "--dry-run")


@trial("cli", "choose one with --cell")
def try_4(world: World) -> None:
    nb = world.notebook("%%containerize x\nprint(1)", "%%containerize y\nprint(2)")
    hint = world.hint_of_command("export", nb, "--out", "made")
    world.works("export", nb, "--out", "made", hint.split()[-1], "1")


@trial("cli", "write a name behind %%containerize")
def try_5(world: World) -> None:
    nb = world.notebook("%%containerize x\nprint(1)", "%%containerize x\nprint(2)")
    hint = world.hint_of_command("build", nb, "--dry-run")
    world.works("build", nb, "--dry-run", hint.split()[-1], "1")
    world.works("build", world.notebook("%%containerize x\nprint(1)", "%%containerize name\nprint(2)"), "--dry-run")


@trial("cli", "give it on the command line, if you trust the notebook; --dockerfile - takes the cell's own text")
def try_dockerfile(world: World) -> None:
    nb = world.notebook("%%containerize x --dockerfile -\nFROM scratch")
    hint = world.hint_of_command("build", nb, "--dry-run")
    world.works("build", nb, "--dry-run", *re.findall(r"--dockerfile -", hint)[0].split())


@trial("commands.cache", "say it with --yes")
def try_6(world: World) -> None:
    nb = world.notebook("%%containerize x\nprint(1)")
    world.command("build", nb, "--base", bases_file(world), "--output", "x.tar", "--builder", "oci")
    hint = world.hint_of_command("cache", "prune")
    for word in (re.findall("--[a-z-]+", hint))[::-1]:
        world.works("cache", "prune", word)


def bases_file(world: World, **options: Any) -> str:
    return str(bases.save(world.folder.parent / f"base{len(options)}.tar", **options))


@trial("commands.login", "give both: buildr login {} --username NAME")
def try_8(world: World) -> None:
    with FakeRegistry(auth="basic", user="NAME", password="secret") as registry:
        world.monkeypatch.setattr("sys.stdin", io.StringIO(""))
        world.monkeypatch.setattr("builtins.input", lambda *_: (_ for _ in ()).throw(EOFError))
        hint = world.hint_of_command("login", registry.host)
        words, _, file = hint.partition(": ")[2].partition(" < ")
        assert file == "FILE"
        world.monkeypatch.setattr("sys.stdin", io.StringIO("secret\n"))
        world.works(*words.split()[1:])


@trial("config.options", "see the options: {} --help")
def try_9(world: World) -> None:
    hint = world.hint_of_command("build", "--qqq")
    assert "--builder" in world.works(*hint.partition(": ")[2].split()[1:])


@trial("config.suggestions", "write {} if you meant that")
def try_45(world: World) -> None:
    words = ["build", world.notebook("%%containerize x\nprint(1)"), "--output", "x.tar"]
    hint = world.hint_of_command(*words, "--bilder", "oci")
    world.works(*words, hint.split()[1], "oci", "--base", bases_file(world))


@trial("config.options", "set --repository HOST/PATH")
def try_10(world: World) -> None:
    import buildr_jupyter
    from tests.shells import the_shell

    hint = world.hint(lambda: world.options("--publish").check_publish())
    world.options("--publish", *option(hint.replace("HOST/PATH", "r.example/me"), "--repository")).check_publish()
    variable = re.search(r"BUILDR_\w+", hint)
    assert variable
    found = settings.gather(line={"publish": True}, environ={variable[0]: "r.example/me"})
    make_options({name: one.value for name, one in found.items()}, base_folder=world.folder).check_publish()
    shell = the_shell()
    buildr_jupyter.load_ipython_extension(shell)
    try:
        shell.run_line_magic("config", hint.partition("%config ")[2].replace("HOST/PATH", "r.example/me"))
        with contextlib.redirect_stdout(io.StringIO()) as out:
            shell.run_line_magic("containerize", "")
        assert re.search(r"repository +r\.example/me +%config", out.getvalue())
        shell.run_line_magic("config", "ContainerizeMagics.repository = None")
    finally:
        buildr_jupyter.unload_ipython_extension(shell)


@trial("config.options", "put the registry in front: --repository")
def try_11(world: World) -> None:
    hint = world.hint(lambda: world.options("--publish", "--repository", "me").check_publish())
    world.options("--publish", *option(hint, "--repository")).check_publish()


@trial("config.options", "say which: --on kubernetes")
def try_where_it_stays(world: World) -> None:
    hint = world.hint(lambda: world.options("--schedule", "@daily"))
    assert world.options("--schedule", "@daily", *option(hint, "--on")).standing


@trial("config.options", "add --port PORT")
def try_a_port(world: World) -> None:
    words = ("--on", "kubernetes", "--replicas", "2")
    hint = world.hint(lambda: world.options(*words))
    assert world.options(*words, *option(hint.replace("PORT", "80"), "--port")).standing


@trial("config.options", "give --replicas N, or --schedule CRON")
def try_one_that_stays(world: World) -> None:
    words = ("--on", "kubernetes", "--port", "80")
    hint = world.hint(lambda: world.options(*words, "--public"))
    assert world.options(*words, "--public", *option(hint.replace("N,", "1"), "--replicas")).standing
    assert world.options(*words, *option(hint.replace("CRON", "@daily"), "--schedule")).standing


@trial("config.options", "give it with --schedule CRON")
def try_a_time_zone(world: World) -> None:
    words = ("--on", "kubernetes", "--timezone", "Europe/Berlin")
    hint = world.hint(lambda: world.options(*words, "--replicas", "1", "--port", "80"))
    assert world.options(*words, *option(hint.replace("CRON", "@daily"), "--schedule")).standing


@trial("config.options", "leave --return and --map out")
def try_nothing_back(world: World) -> None:
    words = ["--on", "kubernetes", "--schedule", "@daily"]
    for more in (["--return", "x"], ["--map", "n=1"]):
        hint = world.hint(lambda more=more: world.options(*words, *more))  # type: ignore[misc]
        assert more[0] in hint
    assert world.options(*words).standing


@trial("config.parse", "write five fields, minute hour day month weekday: --schedule")
def try_a_schedule(world: World) -> None:
    hint = world.hint(lambda: world.options("--on", "kubernetes", "--schedule", "at six"))
    schedule = shlex.split(hint.partition(": ")[2])
    found = world.options("--on", "kubernetes", *schedule).standing
    assert found
    assert found.schedule == "0 6 * * *"


@trial("config.options", "add --run")
def try_set_without_a_run(world: World) -> None:
    assert world.hint(lambda: world.options("--set", "n=4")) == "add --run"
    assert world.options("--set", "n=4", "--run").sets == (("n", "4"),)


@trial("config.parse", "write --set n=4")
def try_set(world: World) -> None:
    hint = world.hint(lambda: world.options("--run", "--set", "n"))
    assert world.options("--run", *option(hint, "--set")).params == (("n", None),)


@trial("commands.actions", "see those that there are, buildr images; name another")
def try_run_of_no_image(world: World) -> None:
    from buildr_jupyter.commands.actions import _load
    from buildr_jupyter.events.cancel import CancelToken
    from buildr_jupyter.model.image_ref import ImageRef

    hint = world.hint(lambda: _load(ImageRef.parse("none:1"), lambda _event: None, CancelToken()))
    assert "buildr images" in hint
    assert "images" in world.works("images", "--help")


@trial("commands.actions", "build it under a name with a registry")
def try_push_without_a_registry(world: World) -> None:
    from buildr_jupyter.commands.actions import push_image

    hint = world.hint(lambda: push_image("x:1", lambda _event: None))
    world.options(*option(hint.replace("HOST/PATH", "r.example/me"), "--repository"), "--publish").check_publish()


@trial("builder.oci_builder", "build it with --builder oci")
def try_load_of_no_image(world: World) -> None:
    from buildr_jupyter.builder.oci_builder import OciBuilder
    from buildr_jupyter.events.cancel import CancelToken
    from buildr_jupyter.model.image_ref import ImageRef

    with contextlib.closing(OciBuilder()) as builder:
        hint = world.hint(lambda: next(builder.stream_load(ImageRef.parse("none:1"), CancelToken())))
    assert world.options(*option(hint, "--builder")).builder == "oci"


@trial("config.parse", "name an image: --base")
def try_12(world: World) -> None:
    world.options(*option(world.hint(lambda: world.options("--base", "a b")), "--base"))


@trial("config.parse", "give --apt once for each name")
def try_13(world: World) -> None:
    hint = world.hint(lambda: world.options("--apt", "a b"))
    assert world.options(*option(hint.partition(": ")[2], "--apt")).apt


@trial("config.parse", "write --param NAME or --param NAME=DEFAULT")
def try_14(world: World) -> None:
    hint = world.hint(lambda: world.options("--param", "1x"))
    assert [world.options(*one.split()).params for one in hint.removeprefix("write ").split(" or ")] == [
        (("NAME", None),), (("NAME", "DEFAULT"),)
    ]  # fmt: skip


@trial("config.parse", "write --secret id=token,env=TOKEN")
def try_15(world: World) -> None:
    hint = world.hint(lambda: world.options("--secret", "token"))
    (secret,) = world.options(*hint.split()).secrets
    assert read_secrets([secret], {"TOKEN": "x"}) == {"token": b"x"}


@trial("config.parse", "say how many: --gpus 1")
def try_gpus(world: World) -> None:
    hint = world.hint(lambda: world.options("--gpus", "one"))
    assert world.options(*option(hint, "--gpus")).gpus == "1"


@trial("notebook.cells", "name a cell by its index: --cell 0")
def try_a_cell(world: World) -> None:
    nb = world.notebook("print(1)")
    hint = world.hint_of_command("export", nb, "--cell", "tag:train", "--out", "made")
    world.works("export", nb, *option(hint, "--cell"), "--out", "made")


@trial("config.parse", "write --ssh default for the agent")
def try_16(world: World) -> None:
    hint = world.hint(lambda: world.options("--ssh", "=x"))
    variable = hint.rpartition(" ")[2]
    assert ssh_agents(world.options(*hint.split()[1:3]).ssh, {variable: str(world.folder)})


@trial("config.requirement_text", "write a name with versions")
def try_17(world: World) -> None:
    hint = world.hint(lambda: parse_requirement("a file.whl", "x"))
    filled = hint.replace("…#sha256=…", f"h.example/a.whl#sha256={'a' * 64}")
    filled = filled.replace("git+https://…@COMMIT", f"git+https://h.example/a@{'b' * 40}")
    found = [re.search(r"name==[\d.]+", filled), *re.finditer("name @ [^']+", filled)]
    assert [parse_requirement(one[0], "x").name for one in found if one] == ["name"] * 3


@trial("config.requirement_text", "set the index with PIP_INDEX_URL")
def try_18(world: World) -> None:
    hint = world.hint(lambda: parse_requirement("--index-url https://i.example/simple", "x"))
    for name in re.findall(r"PIP_\w+", hint):
        found = read_settings({name: "https://i.example/simple", "PIP_CONFIG_FILE": "/dev/null"}, home=world.folder)
        assert "i.example" in str(found.environment)


def project(world: World, text: str) -> settings.SettingsFile:
    (world.folder / "pyproject.toml").write_text(text)
    return settings.read_project(world.folder)


@trial("config.settings", "write it as [tool.buildr]")
def try_19(world: World) -> None:
    hint = world.hint(lambda: project(world, "[tool]\nbuildr = 1\n"))
    table, _, line = hint.removeprefix("write it as ").partition(" and ")
    line = line.replace("…", f"b@sha256:{'a' * 64}")
    assert project(world, f"{table}\n{line}\n").values["base"]


@trial("config.settings", "say it on the line")
def try_20(world: World) -> None:
    hint = world.hint(lambda: project(world, "[tool.buildr]\nbuilder = 'oci'\n"))
    assert settings.gather(line={}, environ={"BUILDR_BUILDER": "oci"})["builder"].origin == "BUILDR_BUILDER"
    assert world.options("--builder", "oci").builder == "oci"
    values = {"apt": ["git"], "base": f"b@sha256:{'a' * 64}", "root": "."}
    for name in hint.partition("may set ")[2].split(", "):
        assert project(world, f"[tool.buildr]\n{name} = {values.get(name, 'auto')!r}\n").values[name]


@trial("config.settings", 'write base = "NAME@sha256:…"')
def try_21(world: World) -> None:
    hint = world.hint(lambda: project(world, "[tool.buildr]\nbase = 'python:3.12'\n"))
    line = hint.partition(", ")[0].removeprefix("write ").replace("NAME", "python").replace("…", "a" * 64)
    assert project(world, f"[tool.buildr]\n{line}\n").values["base"].startswith("python@")
    assert settings.gather(line={}, environ={hint.rpartition(" ")[2]: "python:3.12"})["base"].value == "python:3.12"


@trial("config.settings", "write the name alone")
def try_a_name_alone(world: World) -> None:
    hint = world.hint(lambda: project(world, "[tool.buildr]\nname = 'r.example/me/x'\n"))
    assert project(world, "[tool.buildr]\nname = 'x'\n").values["name"] == "x"
    said = world.options("--name", "x", "--publish", *option(hint.replace("HOST/PATH", "r.example/me"), "--repository"))
    said.check_publish()
    found = settings.gather(line={}, environ={hint.rpartition(" ")[2]: "r.example/me"})
    assert found["repository"].value == "r.example/me"


@trial("config.settings", "write trusted-owners = ")
def try_22(world: World) -> None:
    site = world.folder / "buildr.toml"
    site.write_text("trusted-owners = 3\n")
    hint = world.hint(lambda: settings.read_site(site))
    site.write_text(hint.removeprefix("write ") + "\n")
    assert settings.read_site(site).owners == ("jovyan",)


@trial("config.settings", "own the file and chmod o-w it")
def try_23(world: World) -> None:
    path = world.folder / "pyproject.toml"
    path.write_text("[tool.buildr]\napt = ['git']\n")
    path.chmod(0o666)
    (warning,) = settings.read_project(world.folder).warnings
    world.hinted.append(str(warning.hint))
    assert str(warning.hint).startswith("own the file and chmod o-w it")
    path.chmod(0o664)
    assert settings.read_project(world.folder).values["apt"] == ["git"]


@trial("export.snapshot", "raise the limit with --snapshot-limit SIZE")
def try_24(world: World) -> None:
    def made(*words: str) -> Assembly:
        return world.plan("a", words=("--snapshot", "a", *words), kernel={"a": "x" * 99})

    hint = world.hint(lambda: made("--snapshot-limit", "0.01k"))
    assert made(option(hint, "--snapshot-limit")[0], "1k").plan.state
    assert world.plan("a = 'x'", "a", words=(option(hint, "--recompute")[0], "a"), kernel={"a": "x"})


@trial("export.snapshot", "recompute it in the image (--recompute NAME)")
def try_25(world: World) -> None:
    lock, code = {"a": (x for x in "")}, ("a = iter([1])", "print(list(a))")
    hint = world.hint(lambda: world.plan(*code, words=("--snapshot", "a"), kernel=lock))
    assert not world.plan(*code, words=option(hint, "--recompute"), kernel=lock).plan.state
    assert world.plan(*code, words=(re.findall("--param", hint)[0], "a=1"), kernel=lock)


@trial("export.input_choice", "give a default: --param {}=VALUE")
def try_26(world: World) -> None:
    hint = world.hint(lambda: world.plan("print(1)", words=("--param", "n")))
    assert world.plan("print(1)", words=option(hint.replace("VALUE", "3"), "--param")).program


@trial("export.inputs", "give a default: --param {}=VALUE")
def try_computed(world: World) -> None:
    cells = ("n = 1 + len('x')", "print(n)")
    hint = world.hint(lambda: world.plan(*cells, words=("--param", "n")))
    assert world.plan(*cells, words=option(hint.replace("VALUE", "3"), "--param")).plan.interface.inputs[0].default == 3


@trial("config.parse", "write --map rate=0.1,0.01, or --map depth=2..6")
def try_map(world: World) -> None:
    hint = world.hint(lambda: world.options("--map", "rate"))
    assert [world.options(*words.split()).sweeps for words in hint.split(", or ")] == [True, True]


@trial("runner.grid", "write --map NAME=1,2,3")
def try_empty_grid(world: World) -> None:
    nb = world.notebook("NAME = 1", "%%containerize x\nprint(NAME)")
    hint = world.hint_of_command("build", nb, "--map", "NAME=", "--dry-run")
    world.works("build", nb, *option(hint, "--map"), "--dry-run")


@trial("runner.grid", "give it one with --map {}=VALUE")
def try_required(world: World) -> None:
    nb = world.notebook("n = 1", "%%containerize x\nprint(n, must)")
    hint = world.hint_of_command("build", nb, "--param", "must", "--map", "n=1", "--dry-run")
    world.works("build", nb, "--map", "n=1", *option(hint, "--map"), "--dry-run")


@trial("runner.grid", "take one of its inputs")
def try_no_input(world: World) -> None:
    nb = world.notebook("%%containerize x\nprint(NAME)")
    world.works("export", nb, "--param", "n=1", "--param", "NAME", "--out", "made")
    hint = world.hint_of_command("build", "--from-context", "made", "--map", "other=1", "--dry-run")
    assert "--param NAME" in hint
    world.works("build", "--from-context", "made", "--map", "NAME=1", "--dry-run")


@trial("runner.grid", "raise the limit with --map-limit N")
def try_limit(world: World) -> None:
    nb = world.notebook("n = 1", "%%containerize x\nprint(n)")
    for grid in (("--map", "n=1..20000"), ("--map", "n=1..200", "--map", "m=1..200", "--param", "m=1")):
        hint = world.hint_of_command("build", nb, *grid, "--dry-run")
        world.works("build", nb, *grid, *option(hint.replace(" N,", " 50000"), "--map-limit"), "--dry-run")


@trial("pipeline.sweeps", "raise the limit with --map-limit N")
def try_limit_of_iterations(world: World) -> None:
    nb = world.notebook("n = 1", "%%containerize x\nprint(n)")
    asked = ("--iterations", "20000", "--dry-run")
    hint = world.hint_of_command("build", nb, *asked)
    world.works("build", nb, *asked, *option(hint.replace(" N,", " 50000"), "--map-limit"))


@trial("pipeline.sweeps", "name values on the line")
def try_no_rows(world: World) -> None:
    nb = world.notebook("NAME = 1", "%%containerize x\nprint(NAME)")
    (world.folder / "FILE.csv").write_text("NAME\n")
    hint = world.hint_of_command("build", nb, "--map-file", "FILE.csv", "--dry-run")
    world.works("build", nb, *option(hint, "--map"), "--dry-run")


@trial("pipeline.sweeps", "read rows from a file")
def try_no_kernel(world: World) -> None:
    nb = world.notebook("n = 1", "%%containerize x\nprint(n)")
    (world.folder / "FILE.csv").write_text("n\n1\n")
    hint = world.hint_of_command("build", nb, "--map-from", "rows", "--dry-run")
    world.works("build", nb, *option(hint, "--map-file"), "--dry-run")


@trial("export.reading", "write the value as the cell's last line")
def try_last_value(world: World) -> None:
    hint = world.hint(lambda: world.plan("x = 1", words=("--return", "_")))
    assert world.plan("x = 1\nx", words=("--return", "_")).program
    assert world.plan("x = 1", words=option(hint.replace("NAME", "x"), "--return")).program


@trial("export.value_capture", "run the cell that makes it again")
def try_27(world: World) -> None:
    hint = world.hint(lambda: world.plan("print(a)", kernel={"a": {"k": 1}}))
    assert world.plan("print(a)", words=option(hint, "--snapshot"), kernel={"a": {"k": 1}}).plan.state


@trial("export.value_capture", "take a snapshot with %%containerize")
def try_28(world: World) -> None:
    world.hint(lambda: world.plan("a = [1]", "print(a)", words=("--snapshot", "a")))
    assert world.plan("a = [1]", "print(a)", words=("--snapshot", "a"), kernel={"a": [1]}).plan.state


@trial("export.ipython_syntax", "ask in another cell")
def try_29(world: World) -> None:
    hint = world.hint(lambda: world.plan("print(input())"))
    cells = ("n = input()", "print(n)")
    assert re.findall("--[a-z]+", hint) == ["--param", "--snapshot"]
    assert world.plan(*cells, words=("--snapshot", "n"), kernel={"n": "x"}).program
    assert world.plan(*cells, words=("--param", "n=x")).program


@trial("export.checks", "run the cell that does, or make it an input of the image: --param {}")
def try_input(world: World) -> None:
    hint = world.hint(lambda: world.plan("print(limit)"))
    assert [one.name for one in world.plan("print(limit)", words=option(hint, "--param")).plan.interface.inputs] == [
        "limit"
    ]


@trial("export.exporter", "take what that statement makes by --snapshot too")
def try_30(world: World) -> None:
    cells = ("a = [1]", "b = len(a)", "a.append(2)", "print(a, b)")
    hint = world.hint(lambda: world.plan(*cells, words=("--snapshot", "a"), kernel={"a": [1, 2], "b": 1}))
    assert world.plan(*cells, words=("--snapshot", "a", "--snapshot", "b"), kernel={"a": [1, 2], "b": 1}).plan.state
    assert world.plan(*cells, words=option(hint, "--recompute"), kernel={"a": [1, 2], "b": 1}).program


@trial("pipeline.planner", "give --dockerfile FILE; for the running container")
def try_31(world: World) -> None:
    hint = world.hint(lambda: world.plan("1", words=("--secret", "id=x")))
    (world.folder / "FILE").write_text("FROM scratch\n")
    made = world.plan("1", words=("--secret", "id=x", *option(hint, "--dockerfile")))
    assert made.plan.dockerfile
    assert world.options(hint.split()[-1], "X").run_environment == (("X", None),)


@trial("pipeline.planner", "make one: buildr export NOTEBOOK --out DIR")
def try_32(world: World) -> None:
    nb = world.notebook("%%containerize x\nprint(1)")
    hint = world.hint_of_command("build", "--from-context", "DIR", "--dry-run")
    world.works(*hint.partition(": ")[2].replace("NOTEBOOK", nb).split()[1:])
    world.works("build", "--from-context", "DIR", "--dry-run")


@trial("pipeline.verify", "take --check off the line")
def try_33(world: World) -> None:
    world.works("export", world.notebook("%%containerize x\nprint(1)"), "--out", "DIR")
    words = ["build", "--from-context", "DIR", "--builder", "oci", "--check"]
    hint = world.hint_of_command(*words)
    words.remove(hint.split()[1])
    assert "--check" not in world.command(*words)[2]


@trial("pipeline.verify", "leave --check out")
def try_check(world: World) -> None:
    nb = world.notebook("%%containerize x\nraise SystemExit(3)")
    words = ["export", nb, "--out", "DIR", "--check"]
    hint = world.hint_of_command(*words)
    words.remove(hint.split()[1])
    world.works(*words)


@trial("pipeline.verify", "say --check: it runs the program alone")
def try_check_without_image(world: World) -> None:
    words = ["export", world.notebook("%%containerize x\nprint(1)"), "--out", "DIR", "--check=image"]
    hint = world.hint_of_command(*words)
    world.works(*words[:-1], hint.removeprefix("say ").partition(":")[0])


@trial("pipeline.stages", "leave the proof out with --no-check")
def try_no_check(world: World) -> None:
    made = BuildResult("reg.example/app", proof=Proof("differs", "line 1 is '2' and was '1'"))
    hint = world.hint(lambda: stages.refuse_other(made))
    assert world.options("app", hint.split()[-1]).no_check
    stages.refuse_other(replace(made, proof=None))


@trial("secretscan.scan", "read them at run time")
def try_34(world: World) -> None:
    token = next(fake.value for fake in fakes() if fake.kind == "github-pat")
    plan = world.plan(f"t = {token!r}").plan
    hint = world.hint(lambda: scan.check(plan, {}))
    scan.check(plan, {}, allow=world.options(*option(hint, "--allow-secret")).allow_secrets)
    assert world.options(*option(hint, "--run-env")).run_environment
    assert read_secrets(world.options(*option(hint, "--secret")).secrets, {"NAME": "x"}) == {"NAME": b"x"}
    assert world.plan("print(1)", words=(option(hint, "--param")[0], "NAME=x")).program


@trial("dependencies.resolve", "install the distribution that has it")
def try_35(world: World) -> None:
    code = "import a_module_of_nobody"
    hint = world.hint(lambda: world.plan(code))
    made = world.plan(code, words=(hint.split()[-1], "a-distribution==1"))
    assert [pin.text for pin in made.plan.requirements] == ["a-distribution==1"]


@trial("dependencies.uv", "take another version: --requirement")
def try_another_version(world: World) -> None:
    name, content = wheel("canary_pkg", "2.0", "x = 1")
    place = world.folder.parent / "index" / "canary-pkg"
    place.mkdir(parents=True)
    (place / name).write_bytes(content)
    (place / "index.html").write_text(f'<a href="{name}">{name}</a>')
    words = ["build", world.notebook("%%containerize x\nprint(1)"), "--builder", "oci", "--output", "x.tar"]
    words += ["--base", bases_file(world), "--requirement", "canary_pkg==1.0"]
    serve = partial(SimpleHTTPRequestHandler, directory=str(place.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        world.monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/")
        hint = world.hint_of_command(*words)
        world.works(*words, *option(hint, "--requirement"))
        server.shutdown()


@trial("builder.selection", "choose it: --builder {}")
def try_36(world: World) -> None:
    hint = world.hint(lambda: select("auto=x"))
    assert select(world.options(*option(hint, "--builder")).builder)


@trial("notebook.cells", "choose one with --cell INDEX")
def try_37(world: World) -> None:
    nb = world.notebook("print(1)")
    hint = world.hint_of_command("export", nb, "--out", "DIR")
    cell = option(hint.replace("INDEX", "0"), "--cell")
    world.works("export", nb, "--out", "DIR", *cell)


@trial("oci.base_image", "name a base with Python {}, or --python {}")
def try_38(world: World) -> None:
    base = bases_file(world, python=MINE)
    words = ["build", world.notebook("%%containerize x\nprint(1)"), "--builder", "oci", "--base", base]
    words += ["--output", "x.tar", "--python", OTHER]
    hint = world.hint_of_command(*words)
    world.works(*words[:-2], *option(hint, "--python"))


@trial("oci.base_image", "name another base with --base, or --platform {}")
def try_39(world: World) -> None:
    machine = "arm64" if Interpreter.current().machine == "x86_64" else "amd64"
    words = ["build", world.notebook("%%containerize x\nprint(1)"), "--builder", "oci", "--base", bases_file(world)]
    words += ["--output", "x.tar"]
    hint = world.hint_of_command(*words, "--platform", f"linux/{machine}")
    world.works(*words, *option(hint, "--platform"))


@trial("oci.base_image", "correct --base")
def try_40(world: World) -> None:
    words = ["build", world.notebook("%%containerize x\nprint(1)"), "--builder", "oci", "--output", "x.tar"]
    hint = world.hint_of_command(*words, "--base", "./gone.tar")
    world.works(*words, hint.split()[-1], bases_file(world))


@trial("oci.interpreter_base", "take --python {}, or another base with --base")
def try_41(world: World) -> None:
    words = ["build", world.notebook("%%containerize x\nprint(1)"), "--builder", "oci", "--output", "x.tar"]
    hint = world.hint(lambda: kernel_base(Store(), compressor(), OTHER, lambda: None))
    assert world.options(*option(hint, "--python")).python == MINE
    world.works(*words, option(hint.replace("--base", "--base x"), "--base")[0], bases_file(world), "--python", MINE)


@trial("builder.run_mounts", "export {}, or --secret id={},src=FILE")
def try_42(world: World) -> None:
    hint = world.hint(lambda: read_secrets(world.options("--secret", "id=tok").secrets, {}))
    (world.folder / "FILE").write_text("x")
    assert read_secrets(world.options(*option(hint, "--secret")).secrets, {}) == {"tok": b"x"}
    assert read_secrets(world.options("--secret", "id=tok").secrets, {hint.split()[1].strip(","): "y"})


@trial("builder.run_mounts", "start ssh-agent, or --ssh NAME=SOCKET")
def try_43(world: World) -> None:
    hint = world.hint(lambda: ssh_agents(world.options("--ssh", "default").ssh, {}))
    socket = option(hint.replace("SOCKET", str(world.folder)), "--ssh")
    assert ssh_agents(world.options(*socket).ssh, {}) == {"NAME": str(world.folder)}


@trial("pipeline.planner", "give it to the run: --run-env")
def try_44(world: World) -> None:
    cell = "import os\nprint(os.environ['CITY'])"
    (warning,) = world.plan(cell).warnings
    assert warning.hint
    world.hinted.append(warning.hint)
    assert world.plan(cell, words=option(warning.hint, "--run-env")).warnings == ()
    assert world.plan(cell, words=("--env", "CITY=Bern")).warnings == ()
    assert "--env CITY=" in warning.hint


# -- hints that no trial of the unit tests can use --------------------------------------------------------------------

ELSEWHERE: dict[tuple[str, str], str] = {
    (
        "pipeline.image_check",
        "start Docker or podman, or say --check",
    ): "starts a program; --check itself: pipeline.verify above; tests/unit/pipeline/test_image_check.py",
    (
        "pipeline.image_check",
        "leave --check out",
    ): "needs an engine: tests/integration/test_docker_pipeline.py",
    (
        "export.value_capture",
        "add --recompute {} if that is as it should be",
    ): "needs a kernel's values: tests/unit/export/test_value_capture.py",
    ("config.parse", "write sha256: and its 64 digits"): "needs an image: tests/unit/commands/test_images.py",
    (
        "notebook.text_form",
        "run pip install 'buildr-jupyter[jupytext]'",
    ): "installs a package; that jupytext converts it: tests/unit/notebook/test_text_form.py",
    ("export.observed_use", "carry it with --include"): "needs a kernel: tests/integration/test_kernel_observed.py",
    ("export.observed_use", "take its value of now"): "needs a kernel: tests/integration/test_kernel_observed.py",
    ("magics", "write %%containerize, with two"): "is IPython's UsageError by then: tests/unit/test_magics.py",
    (
        "builder.buildah_builder",
        "install buildah",
    ): "installs a program; that --builder oci builds without an engine: tests/integration/test_oci_builder.py",
    ("builder.podman.service", "install podman"): "installs a program; as above: tests/integration/test_oci_builder.py",
    ("builder.buildah_builder", "give the path"): "tests/unit/builder/test_buildah_builder.py",
    ("builder.buildkit.buildctl", "start buildkitd"): "needs a buildkitd: tests/integration/test_buildkit_builder.py",
    (
        "builder.buildkit.buildctl",
        "correct the certificates",
    ): "needs a buildkitd with TLS: tests/integration/test_buildkit_builder.py",
    (
        "builder.buildkit.hidden_arguments",
        "give it to the step",
    ): "needs a buildkitd: tests/integration/test_buildkit_builder.py",
    ("builder.buildkit_builder", ""): "needs a buildkitd: tests/integration/test_buildkit_builder.py",
    (
        "builder.docker.buildkit",
        "run pip install",
    ): "installs a package; with it: tests/integration/test_docker_buildkit.py",
    (
        "builder.docker_builder",
        "take --builder docker=classic",
    ): "needs an engine with and one without BuildKit: tests/integration/test_docker_engines.py",
    (
        "builder.engine_errors",
        "check th",
    ): "needs an engine and a registry that wants a login: tests/integration/test_builder_contract.py",
    (
        "builder.engine_errors",
        "log in",
    ): "needs an engine and a registry: tests/integration/test_docker_pipeline.py",
    (
        "builder.engine_errors",
        "ask for the right to push",
    ): "another user's login, which only the registry's owner gives",
    ("builder.engine_errors", "see whether it still runs"): "asks an engine: tests/integration/test_doctor.py",
    ("builder.engine_errors", "give the secret"): "needs BuildKit: tests/integration/test_docker_buildkit.py",
    ("builder.engine_errors", "give the ssh agent"): "needs BuildKit: tests/integration/test_docker_buildkit.py",
    (
        "builder.engine_errors",
        "run pip install",
    ): "installs a package; with it: tests/integration/test_docker_buildkit.py",
    (
        "builder.engine_errors",
        "take --builder buildkit",
    ): "needs both builders: tests/integration/test_docker_buildkit.py",
    (
        "builder.engine_errors",
        "ask for the --platform",
    ): "needs an engine: tests/integration/test_oci_platforms.py",
    ("builder.in_cluster.awaited", ""): "needs a cluster: tests/integration/cluster/test_builders.py",
    ("builder.buildkit.daemon", ""): "needs a cluster: tests/integration/cluster/test_builders.py",
    ("builder.in_cluster.place", ""): "needs a cluster: tests/integration/cluster/test_builders.py",
    ("builder.kaniko.executor", ""): "needs kaniko: tests/integration/test_kaniko_builder.py",
    ("builder.kaniko_builder", ""): "needs kaniko: tests/integration/test_kaniko_builder.py",
    ("builder.oci.exporters", "build with --builder oci"): "needs an old engine, which no machine of the tests has",
    ("builder.oci.rebase", ""): "needs two bases with Python: tests/unit/oci/test_rebase.py",
    ("cli", "run pip install jupyter_client"): "installs a package",
    ("commands.doctor", ""): "no error: a line of a report; the login is tried at commands.login",
    (
        "commands.enable",
        "try buildr enable --user",
    ): "needs an environment that cannot be written: tests/unit/commands/test_enable.py",
    ("commands.images", "see those that buildr made"): "needs an engine: tests/unit/commands/test_images.py",
    ("commands.images", "ask the engine"): "asks an engine: tests/integration/test_doctor.py",
    ("dependencies.environment", ""): "needs a second kernel: tests/unit/test_cli.py",
    (
        "dependencies.index_config",
        "",
    ): "needs certificates of a private index: tests/unit/dependencies/test_index_config.py",
    ("cluster.answers", ""): "needs a cluster that refuses: tests/unit/cluster/test_answers.py",
    ("cluster.connection", ""): "needs kubeconfigs: tests/unit/cluster/test_connection.py",
    ("cluster.watching", ""): "needs a cluster that is away: tests/unit/cluster/test_watching.py",
    ("commands.cluster_runs", ""): "needs a cluster: tests/unit/commands/test_cluster_runs.py",
    ("commands.manifest", ""): "needs a registry: tests/unit/commands/test_manifest.py",
    ("pipeline.nodes", ""): "needs a cluster: tests/unit/pipeline/test_nodes.py",
    ("pipeline.placement", ""): "needs a registry and a cluster: tests/integration/cluster/test_hub.py",
    ("runner.following", ""): "needs a cluster: tests/unit/runner/test_following.py",
    ("runner.job_manifest", ""): "needs a cluster: tests/unit/runner/test_job_manifest.py",
    ("runner.kubernetes_runner", ""): "needs a cluster: tests/unit/runner/test_kubernetes_runner.py",
    ("runner.pod_phase", ""): "needs a cluster: tests/unit/runner/test_pod_phase.py",
    ("dependencies.repack", ""): "needs a damaged installation: tests/unit/dependencies/test_resolve.py",
    ("dependencies.resolve", ", or name the notebook's kernel"): "needs a second kernel: tests/unit/test_cli.py",
    ("dependencies.resolve", "name the notebook's kernel"): "needs a second kernel: tests/unit/test_cli.py",
    (
        "dependencies.resolve",
        "add --apt gcc",
    ): "needs an engine and an index: tests/integration/test_docker_builder.py",
    ("dependencies.resolve", "install it first"): "installs a package into the running environment",
    ("dependencies.resolve", "name the index that has it"): "the variable is tried at config.requirement_text",
    ("dependencies.uv", "make room"): "needs a full disk; the command is tried at commands.cache",
    ("dependencies.uv", "run pip install uv"): "installs a package",
    (
        "engine.connection",
        "",
    ): "needs engines: tests/integration/test_docker_engines.py, and tests/unit/engine/test_connection.py",
    ("engine.streams", ""): "needs a silent engine: tests/unit/engine/test_stall.py",
    ("in_image.install", ""): "runs in the image: tests/integration/test_builder_contract.py",
    ("notebook.cells", "resolve the conflict"): "git's and nbdime's own commands",
    ("oci.base_image", "name a Python image"): "the same step as the trial of correct --base",
    ("oci.base_image", "name another base with --base"): "the same step as the trial of correct --base",
    ("oci.interpreter_base", "name a"): "needs a system without glibc; the step is that of correct --base",
    ("oci.layer", "run pip install zstandard"): "installs a package",
    ("oci.store", "make room"): "needs a full disk; the command is tried at commands.cache",
    ("pipeline.planner", "list the base's repository"): "tests/unit/context/test_hostile_folder.py",
    ("process.run", ""): "tests/unit/process/test_run.py",
    ("registry.answers", "MANIFEST_INVALID"): "a key of a table",
    ("registry.answers", "NAME_UNKNOWN"): "a key of a table",
    (
        "registry.answers",
        "give another tag",
    ): "needs a registry with immutable tags: tests/unit/registry/test_answers.py",
    (
        "export.named_files",
        "carry it all the same",
    ): "needs a file over the limit: tests/unit/export/test_named_files.py",
    ("registry.answers", "log in anew"): "the command is tried at commands.login",
    ("registry.keychain", "log in again"): "the command is tried at commands.login",
    ("registry.transport", "name the image by"): "the command is tried at commands.login",
    (
        "registry.transport",
        "set BUILDR_PLAIN_HTTP",
    ): "needs a registry beyond loopback: tests/unit/registry/test_client.py",
    ("journal.journal", ""): "the variable is tried in tests/unit/journal/test_journal.py",
    ("magics", "take --keep off"): "needs a kernel: tests/unit/test_magics.py",
    ("pipeline.values", "give --trust-image"): "needs an engine: tests/integration/test_returned_values.py",
    ("pipeline.image_function", ""): "needs an engine: tests/integration/test_returned_values.py",
    ("commands.actions", "see those that there are"): "needs an engine: tests/integration/test_week.py",
    ("runner.docker_runner", ""): "needs an engine: tests/integration/test_docker_runner.py",
}
"""(module, how the hint begins) to why it is not tried here, and the test that shows its case."""


def test_each_hint_that_names_a_line_is_tried_or_says_why_not() -> None:
    known = [*TRIALS, *ELSEWHERE]
    left = [
        hint
        for hint in package_hints()
        if names_a_line(hint) and not any(hint.module == m and hint.text.startswith(b) for m, b in known)
    ]
    assert left == []
    for module, begins in known:
        assert of(module, begins), f"no such hint any more: {module}: {begins}"
    for reason in ELSEWHERE.values():
        for path in re.findall(r"tests/\S+\.py", reason):
            assert (ROOT / path).is_file(), reason


@pytest.mark.parametrize("key", [*TRIALS], ids=lambda key: f"{key[0]}: {key[1]}")
def test_who_follows_the_hint_gets_further(world: World, key: tuple[str, str]) -> None:
    TRIALS[key](world)
    assert any(matches(hint, said) for hint in of(*key) for said in world.hinted), world.hinted
