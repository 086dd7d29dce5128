"""A cell, a script or a Dockerfile becomes an ``ImagePlan``: ``cell``, ``requirements`` and ``indexes`` joined.

Nothing here asks an engine or a registry, and nothing of the notebook is run.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import platform as host
import posixpath
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from buildr_jupyter.config.notebook_line import is_listed_base
from buildr_jupyter.config.options import Options
from buildr_jupyter.config.requirement_text import parse_requirement
from buildr_jupyter.context import folder as context
from buildr_jupyter.context.dockerfile import MARKER
from buildr_jupyter.dependencies import index_config
from buildr_jupyter.dependencies.environment import Installed, Interpreter
from buildr_jupyter.dependencies.resolve import Requirements, analyze_imports, resolve, target_markers
from buildr_jupyter.errors import ExportError, FileRefused, OptionError, RequirementError
from buildr_jupyter.export.environment_reads import needed_variables
from buildr_jupyter.export.options import ExportOptions, Widening
from buildr_jupyter.export.parameters import own_files, script_text
from buildr_jupyter.export.program import Program, export
from buildr_jupyter.export.project import Tree, find_root
from buildr_jupyter.model.interface import INTERFACE_LABEL, Interface, Return
from buildr_jupyter.model.plan import OWN_FOLDER, CustomDockerfile, FileEntry, ImagePlan, ImportUse, NameNote
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.notebook.cells import CellRun
from buildr_jupyter.notebook.newer_python import read_newer
from buildr_jupyter.process.confined import file_entry, iter_files, open_beneath, resolve_beneath
from buildr_jupyter.secretscan import scan as guard

if TYPE_CHECKING:
    from buildr_jupyter.export.function_inputs import FunctionInputs

__all__ = ["Assembly", "CellSource", "ContextSource", "ScriptSource", "Source", "assemble", "default_name"]

_MAIN = "app/main.py"
_OFFICIAL = "python"
"""The repository of the bases that are taken where none is named."""


@dataclass(frozen=True, slots=True)
class CellSource:
    """A cell of a notebook, from a kernel or from a file."""

    runs: tuple[CellRun, ...]
    """What ran before, in order; the target is the last or is among them."""
    target: CellRun
    folder: Path
    """The notebook's folder; in a kernel without a known notebook, where the kernel started."""
    notebook: str | None = None
    """File name of the notebook, None where it is not known."""
    namespace: Mapping[str, object] | None = field(default=None, repr=False)
    """The live values, None without a kernel."""
    siblings: int = 1
    """How many containerize cells the notebook has."""
    function: FunctionInputs | None = None
    """The decorated function that the target calls."""


@dataclass(frozen=True, slots=True)
class ScriptSource:
    """A script on disk, run as it is: what the decorator is called from."""

    path: Path
    folder: Path
    function: FunctionInputs | None = None
    """The decorated function that it calls, where that has inputs or returns."""


@dataclass(frozen=True, slots=True)
class ContextSource:
    """A context folder, built as it stands."""

    folder: Path
    bases: tuple[str, ...] = ()
    """Repositories that the user's or the site's settings allow as bases of what they did not write."""


Source = CellSource | ScriptSource | ContextSource


@dataclass(frozen=True, slots=True)
class Assembly:
    """A plan and what was learned on the way to it."""

    plan: ImagePlan
    settings: index_config.IndexSettings
    program: Program | None = None
    warnings: tuple[BuildWarning, ...] = ()

    def place_of(self, where: str) -> str:
        """Return the cell and line of ``app/main.py, line 12``, with that behind it; any other place as it is."""
        path, _, line = where.partition(", line ")
        if self.program is None or path != _MAIN or not line.isdecimal():
            return where
        origins = self.program.origins
        origin = origins[int(line) - 1] if 0 < int(line) <= len(origins) else None
        return f"{origin} ({where})" if origin else where


def default_name(source: Source) -> str:
    """Return the image's name where nobody gave one: the notebook's, with the cell's where it has several."""
    if isinstance(source, ScriptSource):
        return _slug(source.path.stem)
    if isinstance(source, ContextSource):
        return _slug(source.folder.name)
    name = _slug(Path(source.notebook).stem) if source.notebook else "notebook"
    if source.siblings > 1:
        tags = [tag for tag in source.target.tags if not tag.startswith("buildr:")]
        name += f"-{_slug(tags[0])}" if tags else f"-{source.target.index}"
    return name


def _slug(text: str) -> str:
    """Return a name that an image may have: ``ete-2026`` of ``Été 2026``; one without Latin letters gets a number."""
    letters = unicodedata.normalize("NFKD", text)
    plain = re.sub(r"[^a-z0-9]+", "-", re.sub(r"[\u0300-\u036f]", "", letters).lower()).strip("-")
    if plain:
        return plain
    number = hashlib.sha256(letters.encode("utf-8", "surrogateescape")).hexdigest()[:6]
    return f"notebook-{number}" if any(letter.isalnum() for letter in text) else "notebook"


_NO_WIDENING = Widening()


def assemble(
    source: Source,
    options: Options,
    interpreter: Interpreter,
    environ: Mapping[str, str],
    *,
    widening: Widening = _NO_WIDENING,
) -> Assembly:
    """Return the plan of the image that the source and the options describe.

    ``widening`` is what the program carries beside what it was read to need.

    Raises ExportError and its kin (a name, value, module or file that cannot be carried) and OptionError.
    """
    if isinstance(source, ContextSource):
        return _context(source, options, environ)
    python = options.python or interpreter.minor
    source = _read_by_its_python(source, interpreter)
    if options.dockerfile is None and (options.secrets or options.ssh):
        raise OptionError(
            "--secret and --ssh: only steps of a Dockerfile of your own can use them",
            hint="give --dockerfile FILE; for the running container there is --run-env",
        )
    if options.returns and options.dockerfile == "-":
        raise OptionError(
            "--return: a cell that is a Dockerfile has no values", hint="return values from a cell of Python"
        )
    if options.dockerfile == "-":
        return _dockerfile_cell(source, options, environ)
    markers = target_markers(python, _machine(options, interpreter))
    program, entries, found, standin = _program_with_pins(source, options, widening, interpreter, markers)
    settings = index_config.read_settings(environ, home=Path.home())
    tree = (program and program.tree) or Tree.of(source.folder, None)
    modules = [_beside_notebook(entry, tree) for entry in (*found.modules, *standin)]
    files = {entry.path: entry for entry in (*modules, *entries)}
    left_out = _LeftOut(options.exclude, tree)
    asked = _iter_included(tree, widening.files, left_out, why="a run of the program asked for it")
    files.update((entry.path, entry) for entry in asked)
    files.update((entry.path, entry) for entry in _iter_included(tree, options.include, left_out))
    ours = (_MAIN, f"{OWN_FOLDER}/")
    kept = {p: e for p, e in files.items() if p.startswith(ours) or not left_out.has(p)}
    wheels = {entry.path: entry for entry in (*settings.wheels_for(found.pins), *found.wheels)}
    warnings = [*found.warnings, *(program.warnings if program else ())]
    warnings += _missing_variables(program, options)
    warnings += [BuildWarning(f"--exclude {one} leaves nothing out") for one in left_out.unused()]
    cell = source.target if isinstance(source, CellSource) else None
    plan = ImagePlan(
        base=options.base or f"python:{python}-slim",
        python=python,
        platforms=options.platforms,
        system_packages=options.apt,
        requirements=found.pins,
        wheels=tuple(wheels[path] for path in sorted(wheels)),
        files=tuple(kept[path] for path in sorted(kept)),
        state=program.state if program else (),
        environment=options.environment,
        folder=tree.inside,
        ports=tuple(sorted({f"{port.container}/{port.protocol}" for port in options.ports})),
        labels=((INTERFACE_LABEL, program.interface.to_label()),) if program and program.interface else (),
        dockerfile=_custom_dockerfile(options, source.folder),
        notebook=source.notebook if isinstance(source, CellSource) else source.path.name,
        cell=_cell_label(cell),
        interpreter=str(interpreter),
        names=program.names if program else (),
    )
    return Assembly(plan, settings, program, tuple(warnings))


def _read_by_its_python(source: CellSource | ScriptSource, interpreter: Interpreter) -> CellSource | ScriptSource:
    """Return the source with the cells that only the notebook's own, newer Python can read."""
    if not isinstance(source, CellSource) or not interpreter.executable or not _is_newer(interpreter.minor):
        return source
    if all(run.transformed is not None for run in (*source.runs, source.target)):
        return source
    *runs, target = read_newer((*source.runs, source.target), interpreter.executable)
    place = next((number for number, run in enumerate(source.runs) if run is source.target), None)
    if place is not None:
        target = runs[place]
    return replace(source, runs=tuple(runs), target=target)


def _is_newer(minor: str) -> bool:
    return tuple(int(part) for part in minor.split(".") if part.isdecimal()) > sys.version_info[:2]


def _program_with_pins(
    source: CellSource | ScriptSource,
    options: Options,
    widening: Widening,
    interpreter: Interpreter,
    markers: Mapping[str, str],
) -> tuple[Program | None, list[FileEntry], Requirements, Sequence[FileEntry]]:
    """Return the program, its files, what it requires, and what stands in for the decorator.

    A module that is not installed made its import fail, where nobody knows how the cell ended: without that cell the
    program may be complete. If it is not, the error tells of the module.
    """
    absent: list[str] = []
    first: ExportError | None = None
    while True:
        try:
            program, imports, entries, given = _program_of(source, options, widening, tuple(absent))
            imports, standin = _stand_in(imports)
            given += [(text, "--requirement") for text in options.requirements]
            words = program.words if program is not None else {}
            installed = _installed(interpreter, source, program)
            found = resolve(imports, installed, markers=markers, given=given, named=words)
            return program, entries, found, standin
        except ExportError as error:
            module = error.absent if isinstance(error, RequirementError) else None
            if module is None or module in absent or isinstance(source, ScriptSource):
                raise (first or error) from None
            first = first or error
            absent.append(module)


def _installed(interpreter: Interpreter, source: CellSource | ScriptSource, program: Program | None) -> Installed:
    folders = program.import_folders if program else ()
    first = [source.folder, *(one.path for one in folders if one.first)]
    return Installed(interpreter, first=first, last=[one.path for one in folders if not one.first])


def _missing_variables(program: Program | None, options: Options) -> list[BuildWarning]:
    """Return a warning for each variable that the program reads and neither the image nor a run is given."""
    given = {name for name, _ in (*options.environment, *options.run_environment)}
    return [
        BuildWarning(
            f"the program reads the environment variable {name}, which its image does not have",
            hint=f"give it to the run: --run-env {name}; or to the image, for all to read: --env {name}=…",
        )
        for name in (needed_variables(program.text) if program else ())
        if name not in given
    ]


_OF_THE_PLAN = ("base", "python", "requirements", "apt", "include", "exclude", "params", "returns", "environment",
                "dockerfile")  # fmt: skip


def _context(source: ContextSource, options: Options, environ: Mapping[str, str]) -> Assembly:
    """The folder says what the image is; an option that would change that is refused."""
    if said := [name for name in _OF_THE_PLAN if getattr(options, name)]:
        raise OptionError(
            f"--from-context: {', '.join(said)} would change what stands in the folder",
            hint="edit its Dockerfile, requirements.txt or app/, or build the notebook",
        )
    if not source.folder.is_dir():
        what = "is a file, and no folder" if source.folder.exists() else "no such folder"
        raise OptionError(
            f"--from-context {str(source.folder)!r}: {what}", hint="make one: buildr export NOTEBOOK --out DIR"
        )
    if not (source.folder / "Dockerfile").is_file():
        raise OptionError(
            f"--from-context {str(source.folder)!r}: it has no Dockerfile, so it is no context folder",
            hint="make one: buildr export NOTEBOOK --out DIR",
        )
    plan = context.read_folder(source.folder)
    for requirement in plan.requirements:
        if not requirement.text.startswith("./wheels/"):
            parse_requirement(requirement.text, f"{source.folder.name}/requirements.txt")
    plan = replace(plan, platforms=options.platforms or plan.platforms)
    settings = index_config.read_settings(environ, home=Path.home())
    if (plan.dockerfile is None and is_listed_base(plan.base, (_OFFICIAL, *source.bases))) or not settings.environment:
        return Assembly(plan, settings)
    # The folder may come from anybody, and its steps, or its base's own Python, would read the login.
    what = "its Dockerfile is its own" if plan.dockerfile else f"its base {plan.base} is on no list of yours"
    warning = BuildWarning(
        f"--from-context: the settings of the package index stay here, for {what}",
        hint=None if plan.dockerfile else "list the base's repository, if you know it: --allow-base REPO",
    )
    return Assembly(plan, replace(settings, environment={}), warnings=(warning,))


def _cell_label(cell: CellRun | None) -> str | None:
    """Return the cell's nbformat id, else its index; a front end's own kind of id may hold a path, and stays here."""
    if cell is None:
        return None
    if cell.id and re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", cell.id):
        return cell.id
    return None if cell.index is None else str(cell.index)


def _program_of(
    source: CellSource | ScriptSource, options: Options, widening: Widening, absent: tuple[str, ...] = ()
) -> tuple[Program | None, Sequence[ImportUse], list[FileEntry], list[tuple[str, str]]]:
    if isinstance(source, ScriptSource):
        return _script(source, options)
    wanted = ExportOptions(
        params=options.params,
        asked_by=tuple((name, options.option_of(name)) for name, _ in options.params),
        returns=options.returns,
        snapshots=options.snapshots,
        recompute=options.recompute,
        include=(*options.include, *widening.files),
        mounts=(*(one.target for one in options.mounts), *(one.target for one in options.claims)),
        snapshot_limit_bytes=options.snapshot_limit_bytes,
        root=find_root(source.folder, options.root, home=Path.home()),
        widening=widening,
        absent=absent,
        function=source.function,
    )
    program = export(
        source.runs, source.target, wanted, folder=source.folder, notebook=source.notebook, namespace=source.namespace
    )
    main = FileEntry.from_bytes(_MAIN, program.text.encode(), why="the cell's program")
    return program, program.imports, [main, *program.files], list(program.requirements)


def _script(
    source: ScriptSource, options: Options
) -> tuple[Program | None, Sequence[ImportUse], list[FileEntry], list[tuple[str, str]]]:
    """Return a script as the program that it is; one whose function has inputs or returns is run by another."""
    content, name = source.path.read_bytes(), source.path.name
    imports = analyze_imports(content, name)
    if (function := source.function) is None:
        if options.returns or options.params:
            raise OptionError("--param and --return: a script is run as it is", hint="take them off, or use a cell")
        return None, imports, [FileEntry.from_bytes(_MAIN, content, why=name)], []
    place = name
    while place == "main.py" or (place != name and (source.folder / place).exists()):
        place = f"_{place}"
    interface = Interface(function.inputs, tuple(Return(one) for one in options.returns))
    text = script_text(interface, function.spec(), place)
    program = Program(text, imports=tuple(imports), interface=interface, warnings=function.warnings)
    main = FileEntry.from_bytes(_MAIN, text.encode(), why=f"runs {place}")
    script = FileEntry.from_bytes(f"app/{place}", content, why=name)
    return program, imports, [main, script, *own_files(interface, script=True)], []


def _stand_in(imports: Sequence[ImportUse]) -> tuple[list[ImportUse], list[FileEntry]]:
    """Give a program that imports only the decorator a stand-in for us, so that the image carries none of our needs."""
    ours = [use for use in imports if use.module.split(".")[0] == "buildr_jupyter"]
    if not ours or any(
        use.module != "buildr_jupyter" or set(use.names) - {"Containerize"} or not use.names for use in ours
    ):
        return list(imports), []
    content = resources.files("buildr_jupyter.in_image").joinpath("decorator_shim.py").read_bytes()
    entry = FileEntry.from_bytes("app/buildr_jupyter/__init__.py", content, why="stands in for the decorator")
    return [use for use in imports if use not in ours], [entry]


def _dockerfile_cell(source: Source, options: Options, environ: Mapping[str, str]) -> Assembly:
    """``--dockerfile -``: the cell is a Dockerfile; the context holds what ``--include`` names."""
    if not isinstance(source, CellSource):
        raise OptionError("--dockerfile -: only a cell can be a Dockerfile", hint="name a file")
    tree = Tree.of(source.folder, None)
    included = _iter_included(tree, options.include, _LeftOut((), tree))
    plan = ImagePlan(
        base="",
        python="",
        platforms=options.platforms,
        files=tuple(sorted(included, key=lambda entry: entry.path)),
        environment=options.environment,
        dockerfile=CustomDockerfile(source.target.body, secrets=_secret_ids(options)),
        notebook=source.notebook,
        cell=_cell_label(source.target),
        names=(NameNote("Dockerfile", "the cell", "code", "--dockerfile -"),),
    )
    return Assembly(plan, index_config.read_settings(environ, home=Path.home()))


def _custom_dockerfile(options: Options, folder: Path) -> CustomDockerfile | None:
    if options.dockerfile is None:
        return None
    path = Path(os.path.normpath(folder.absolute() / Path(options.dockerfile).expanduser()))
    root = folder.absolute() if path.is_relative_to(folder.absolute()) else path.parent
    try:
        with open_beneath(path, root) as stream:
            text = stream.read().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise OptionError(
            f"--dockerfile {options.dockerfile}: {reason}", hint="name a Dockerfile, or leave it to us"
        ) from error
    if text.startswith(MARKER):
        return None  # ours: it is made again from the plan
    return CustomDockerfile(text, secrets=_secret_ids(options))


def _secret_ids(options: Options) -> tuple[str, ...]:
    return tuple(sorted({secret.id for secret in options.secrets}))


def _machine(options: Options, interpreter: Interpreter) -> str:
    if not options.platforms:
        return {"arm64": "aarch64", "AMD64": "x86_64"}.get(interpreter.machine or host.machine(), interpreter.machine)
    architecture = options.platforms[0].split("/")[1]
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(architecture, architecture)


def _beside_notebook(entry: FileEntry, tree: Tree) -> FileEntry:
    return replace(entry, path=posixpath.normpath(tree.below(entry.path.removeprefix("app/"))))


class _LeftOut:
    """The patterns of ``--exclude``, and which of them left something out."""

    def __init__(self, patterns: Sequence[str], tree: Tree) -> None:
        self._patterns, self._tree = patterns, tree
        self._used: set[str] = set()

    def has(self, path: str) -> bool:
        """Tell whether a pattern leaves the file of this path in the image, or the folder, out."""
        inside = posixpath.relpath(path, f"app/{self._tree.inside}")
        found = [
            pattern
            for pattern in self._patterns
            if fnmatch.fnmatchcase(inside, pattern) or f"{inside}/".startswith(f"{pattern.rstrip('/')}/")
        ]
        self._used.update(found)
        return bool(found)

    def unused(self) -> list[str]:
        """Return the patterns that no path was left out by."""
        return [pattern for pattern in self._patterns if pattern not in self._used]


def _iter_included(
    tree: Tree, patterns: Sequence[str], left_out: _LeftOut, *, why: str | None = None
) -> Iterator[FileEntry]:
    """Yield the files that ``--include`` names: a file, a folder with all in it, or a pattern, in sorted order.

    A path below the notebook's folder may be a link within it. Any other path was named by the user, who may then mean
    nothing beside it: the file itself, and what lies in the folder itself. Those of the project keep their place in
    its tree, others lie beside the program.
    """
    folder = tree.folder
    for pattern in patterns:
        named = Path(pattern).expanduser()
        if (folder / named).exists():
            found = [folder / named]
        else:
            found = [] if named.is_absolute() else sorted(folder.glob(pattern))
        if not found:
            raise FileRefused(
                f"--include {pattern}: no such file or folder", hint=f"give paths as seen from {folder.name}/"
            )
        for path in found:
            yield from _iter_named(Path(os.path.normpath(path)), tree, why or f"--include {pattern}", left_out)


def _iter_named(path: Path, tree: Tree, why: str, left_out: _LeftOut) -> Iterator[FileEntry]:
    inside = path.is_relative_to(tree.folder)
    root = tree.folder if inside else (path if path.is_dir() else path.parent)

    def target(file: Path) -> str:
        return tree.target(file) or tree.below(file.relative_to(path.parent).as_posix())

    if path.is_dir() and not path.is_symlink():
        top = path

        def skip(relative: str) -> bool:
            return guard.never_included(relative) or left_out.has(target(top / relative))

        files: Iterable[Path] = iter_files(path, root, skip=skip)
    elif path.is_dir():
        real = resolve_beneath(path, root)
        files = (path / file.relative_to(real) for file in iter_files(real, root, skip=guard.never_included))
    else:
        files = (path,)
    for file in files:
        yield file_entry(target(file), file, root, why=why)
