"""Imports in, pinned requirements and local modules out.

Each imported module is looked up by its file: who owns the file is the distribution, at the version that is installed.
No table of guesses decides, no network is asked, nothing is imported. What the found distributions need is pinned too,
with their markers evaluated for the image's platform and Python and never for this one's.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from buildr_jupyter.config.requirement_text import parse_requirement
from buildr_jupyter.dependencies.environment import Distribution, Installed, Located
from buildr_jupyter.dependencies.repack import local_wheel
from buildr_jupyter.errors import RequirementError
from buildr_jupyter.model.plan import FileEntry, ImportUse, Requirement
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.process.confined import file_entry, iter_files, open_beneath

if TYPE_CHECKING:
    from packaging.requirements import Requirement as Pep508

__all__ = ["Requirements", "analyze_imports", "resolve", "target_markers"]

_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)""")
_UNNAMED = frozenset(
    ("all", "complete", "dev", "developer", "doc", "docs", "full", "test", "tests", "testing", "types", "example", "ci")
)
"""Extras whose names are common words, and none of a feature."""
OWNERS = {
    "attr": "attrs", "bs4": "beautifulsoup4", "Bio": "biopython", "Crypto": "pycryptodome", "cv2": "opencv-python",
    "dateutil": "python-dateutil", "docx": "python-docx", "dotenv": "python-dotenv", "fitz": "PyMuPDF",
    "git": "GitPython", "google.cloud.storage": "google-cloud-storage",
    "google.cloud.bigquery": "google-cloud-bigquery",
    "jwt": "PyJWT", "magic": "python-magic", "mpl_toolkits": "matplotlib", "MySQLdb": "mysqlclient",
    "OpenSSL": "pyOpenSSL", "PIL": "Pillow", "pkg_resources": "setuptools", "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary", "pywt": "PyWavelets", "serial": "pyserial", "skimage": "scikit-image",
    "sklearn": "scikit-learn", "slugify": "python-slugify", "socks": "PySocks", "umap": "umap-learn",
    "usb": "pyusb", "wx": "wxPython", "Xlib": "python-xlib", "yaml": "PyYAML", "zmq": "pyzmq",
}  # fmt: skip
"""Modules whose name is not their distribution's, and the distribution that is known to own them (on the package
index); asked only for a module that is *not* installed."""

REMOVED = {
    (3, 12): {"asynchat", "asyncore", "distutils", "imp", "smtpd"},
    (3, 13): {
        "aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "lib2to3", "mailcap", "msilib", "nis", "nntplib",
        "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib",
    },
}  # fmt: skip
"""Standard library modules and the version that left them out (PEP 594, "What's New")."""

LOCAL_VERSION_INDEXES = {
    r"(cu\d+|cpu|rocm[\d.]+|xpu)": ("https://download.pytorch.org/whl/{}", {"torch", "torchvision", "torchaudio"}),
}
"""Local version pattern to the index that holds such builds, and for which distributions that is known."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a program needs beside itself."""

    pins: tuple[Requirement, ...] = ()
    """Sorted by text; each a line of requirements.txt."""
    modules: tuple[FileEntry, ...] = ()
    """Local modules and their packages' data, as ``app/…`` with the notebook's folder as ``app``, sorted by path."""
    wheels: tuple[FileEntry, ...] = ()
    """``wheels/…``: distributions that no index has."""
    warnings: tuple[BuildWarning, ...] = ()


def target_markers(python: str, machine: str) -> dict[str, str]:
    """Return PEP 508's environment for Linux, this ``major.minor[.micro]`` and this machine (``x86_64``)."""
    full = python if python.count(".") >= 2 else f"{python}.0"
    return {
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": full,
        "python_version": ".".join(full.split(".")[:2]),
        "sys_platform": "linux",
    }


@dataclass(slots=True)
class _Work:
    """What one call of ``resolve`` gathers."""

    installed: Installed
    markers: Mapping[str, str]
    reasons: dict[str, str] = field(default_factory=dict)
    """Canonical name to why; the order of discovery."""
    extras: dict[str, set[str]] = field(default_factory=dict)
    modules: dict[str, FileEntry] = field(default_factory=dict)
    wheels: dict[str, FileEntry] = field(default_factory=dict)
    given: dict[str, tuple[Pep508, str]] = field(default_factory=dict)
    lines: dict[str, str] = field(default_factory=dict)
    """Finished lines beside the distributions: text to why."""
    warnings: list[BuildWarning] = field(default_factory=list)
    seen_files: set[Path] = field(default_factory=set)


def resolve(
    imports: Iterable[ImportUse],
    installed: Installed,
    *,
    markers: Mapping[str, str],
    given: Sequence[tuple[str, str]] = (),
    named: Mapping[str, str] = MappingProxyType({}),
) -> Requirements:
    """Return the pins, local modules and wheels that these imports ask for.

    ``given`` are (requirement, why) of the user's own: ``--requirement`` and ``%pip install`` lines; a version given
    there wins over the installed one. ``named`` are words of the program's texts and methods, with where they stand:
    what is imported may load a package of that name, if its own metadata lists it among its extras. Raises
    RequirementError for a module that nothing supplies and OptionError for a given text that is no requirement
    (``parse_requirement``).
    """
    work = _Work(installed, markers)
    for text, why in given:
        _add_given(work, text, why)
    for use in imports:
        _add_import(work, use)
    _add_named(work, named)
    _close(work)
    pins = [Requirement(*_pin(work, key, why)) for key, why in work.reasons.items() if key in installed.distributions]
    pins += [Requirement(str(r), why) for key, (r, why) in work.given.items() if key not in installed.distributions]
    pins += [Requirement(text, why) for text, why in work.lines.items()]
    return Requirements(
        tuple(sorted(pins, key=lambda pin: (not pin.text.startswith("-"), pin.text.lower()))),
        tuple(sorted(work.modules.values(), key=lambda entry: entry.path)),
        tuple(sorted(work.wheels.values(), key=lambda entry: entry.path)),
        tuple(work.warnings),
    )


def _add_given(work: _Work, text: str, why: str) -> None:
    requirement = parse_requirement(text, why)
    key = canonicalize_name(requirement.name)
    work.given[key] = (requirement, why)
    if key in work.installed.distributions:
        work.reasons.setdefault(key, why)
        work.extras.setdefault(key, set()).update(requirement.extras)


def _add_import(work: _Work, use: ImportUse) -> None:
    installed = work.installed
    if installed.is_stdlib(use.module):
        if gone := _removed_in(use.module, work.markers["python_version"]):
            work.warnings.append(BuildWarning(f"{use.origin}: module {use.module} is not in Python {gone} any more"))
        return
    located = installed.locate(use.module)
    if located is None and "." in use.module and use.module not in OWNERS:
        located = installed.locate(use.module.rpartition(".")[0])  # an attribute that its parent makes at run time
    if located is None:
        if not use.optional:
            _add_missing(work, use)
        return
    targets = [located]
    named = (installed.locate(f"{use.module}.{name}") for name in use.names if name != "*")
    targets += [submodule for submodule in named if submodule]
    for target in targets:
        _add_located(work, target, use)


def _add_missing(work: _Work, use: ImportUse) -> None:
    """Take the distribution of a module that is not installed here from what the user named, or refuse.

    Where the notebook's own kernel is not here, the one distribution that is known to own the module is taken, without
    a version, and that is said. A distribution is never guessed from a module's name: anybody may have published it.
    """
    interpreter, known = work.installed.interpreter, _owner_by_table(use.module)
    absent = [key for key in work.given if key not in work.installed.distributions]
    if absent:
        text = f"{use.origin}: module {use.module} is not installed here; it is taken to come from {', '.join(absent)}"
        work.warnings.append(BuildWarning(text))
    elif interpreter.stand_in and known:
        work.lines.setdefault(known, f"{use.module} in {use.origin}; not installed in {interpreter}")
        text = f"{use.origin}: module {use.module} is not in {interpreter}; {known} is taken without a version"
        work.warnings.append(BuildWarning(text, hint="name the notebook's kernel with --kernel"))
    else:
        error = RequirementError(
            f"{use.origin}: module {use.module!r} is not installed in {interpreter}",
            hint=f"install it first: %pip install {known}"
            if known and not interpreter.stand_in
            else "install the distribution that has it, or name it with --requirement"
            + (", or name the notebook's kernel with --kernel" if interpreter.stand_in else ""),
        )
        error.absent = use.module
        raise error


def _add_located(work: _Work, located: Located, use: ImportUse) -> None:
    if located.path is None:
        return  # a namespace: the owners of the modules in it count
    owners = work.installed.owners(located)
    if not work.installed.is_installed_file(located.path):
        _add_local(work, located, f"imported by {use.origin}")
        for owner in owners:  # an editable install: its code comes as files, its needs as pins
            _follow(work, owner, set(), f"needed by {owner.key}")
        return
    if not owners:
        if use.optional:
            return
        raise RequirementError(
            f"{use.origin}: module {use.module!r} ({located.path.name}) belongs to no installed distribution",
            hint="install it with pip, or put its folder beside the notebook",
        )
    chosen = next((owner for owner in owners if owner.key in work.given), owners[0])
    if len(owners) > 1:
        others = ", ".join(f"{o.key} {o.version}" for o in owners if o is not chosen)
        work.warnings.append(
            BuildWarning(f"module {use.module} is in several distributions: {chosen.key} is taken, not {others}")
        )
    work.reasons.setdefault(chosen.key, f"{use.module} in {use.origin}")


def _add_named(work: _Work, named: Mapping[str, str]) -> None:
    """Require of the extras of what is imported what a word names, ``to_pandas`` or ``engine="xlsxwriter"``.

    Nothing is required that is not installed here. An extra that is called ``default`` is wanted by most.
    """
    for key in list(work.reasons):
        distribution = work.installed.distributions.get(key)
        extras = list(_iter_extras(distribution, work.markers)) if distribution is not None else []
        words = dict(named)
        for requirement, extra in extras:  # ``polars[pyarrow]`` of its own extra ``pandas``
            if canonicalize_name(requirement.name) == key and extra in words and extra not in _UNNAMED:
                words |= dict.fromkeys(map(canonicalize_name, requirement.extras), words[extra])
        for requirement, extra in extras:
            name = canonicalize_name(requirement.name)
            origin = words.get(name) or (words.get(extra) if extra not in _UNNAMED else None)
            if name in work.installed.distributions and (origin or extra == "default"):
                why = f"{key} may load it: named in {origin}" if origin else f"{key} may load it by default"
                work.reasons.setdefault(name, why)


def _iter_extras(distribution: Distribution, markers: Mapping[str, str]) -> Iterator[tuple[Pep508, str]]:
    """Yield the requirements of a distribution's extras, as far as they are for the target, each with its extra."""
    from packaging.requirements import InvalidRequirement
    from packaging.requirements import Requirement as Pep508

    for line in distribution.requires:
        if extra := _EXTRA.search(line):
            try:
                requirement = Pep508(line)
            except InvalidRequirement:
                continue
            if requirement.marker is None or requirement.marker.evaluate(dict(markers) | {"extra": extra[1]}):
                yield requirement, canonicalize_name(extra[1])


def _close(work: _Work) -> None:
    queue = list(work.reasons)
    done: set[tuple[str, frozenset[str]]] = set()
    while queue:
        key = queue.pop()
        distribution = work.installed.distributions.get(key)
        state = (key, frozenset(work.extras.get(key, ())))
        if distribution is None or state in done:
            continue
        done.add(state)
        queue += _follow(work, distribution, work.extras.get(key, set()), f"needed by {distribution.key}")


def _follow(work: _Work, distribution: Distribution, extras: set[str], why: str) -> list[str]:
    from packaging.requirements import InvalidRequirement
    from packaging.requirements import Requirement as Pep508

    followed: list[str] = []
    for line in distribution.requires:
        try:
            requirement = Pep508(line)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        wanted = [dict(work.markers) | {"extra": extra} for extra in ("", *sorted(extras))]
        if marker and not any(marker.evaluate(environment) for environment in wanted):
            continue
        key = canonicalize_name(requirement.name)
        if key not in work.installed.distributions and key not in work.given:
            bare = Pep508(line)
            bare.marker = None
            work.lines.setdefault(str(bare), f"{why} on {work.markers['sys_platform']}; not installed here")
            continue
        work.reasons.setdefault(key, why)
        work.extras.setdefault(key, set()).update(requirement.extras)
        followed.append(key)
    return followed


def _pin(work: _Work, key: str, why: str) -> tuple[str, str]:
    distribution = work.installed.distributions[key]
    if key in work.given:
        requirement, asked = work.given[key]
        if requirement.specifier or requirement.url:
            return str(requirement), asked
    wheel, vcs = None, distribution.direct_url.get("vcs_info")
    if vcs:
        url = "".join(str(distribution.direct_url.get("url", "")).split())  # one word of requirements.txt
        return f"{key} @ {vcs.get('vcs', 'git')}+{url}@{vcs.get('commit_id', '')}", why
    if distribution.direct_url.get("url", "").startswith("file:"):
        wheel = local_wheel(distribution, Path(unquote(urlsplit(distribution.direct_url["url"]).path)))
        work.wheels[wheel.path] = wheel
        return f"./{wheel.path}", why
    if distribution.built_here:
        text = f"{key} {distribution.version} was compiled on this machine: the index may have no wheel of it"
        work.warnings.append(
            BuildWarning(text, hint="add --apt gcc if the image cannot compile it, or take another version")
        )
    if distribution.from_conda:
        work.warnings.append(
            BuildWarning(
                f"{distribution.name} {distribution.version} came from conda; the image takes it from the package index"
            )
        )
    public, plus, local = distribution.version.partition("+")
    if plus:
        for pattern, (index, known) in LOCAL_VERSION_INDEXES.items():
            if key in known and re.fullmatch(pattern, local):
                work.lines.setdefault(
                    f"--extra-index-url {index.format(local)}", f"{distribution.name} {distribution.version}"
                )
                break
        else:
            work.warnings.append(
                BuildWarning(
                    f"{distribution.name} {distribution.version} is a local build of {public}",
                    "name the index that has it in PIP_EXTRA_INDEX_URL",
                )
            )
    return f"{key}=={distribution.version}", why


def _removed_in(module: str, python: str) -> str | None:
    top = module.partition(".")[0]
    target = tuple(int(part) for part in python.split(".")[:2])
    for version, names in REMOVED.items():
        if top in names and target >= version:
            return f"{version[0]}.{version[1]}"
    return None


def _owner_by_table(module: str) -> str | None:
    """Return the distribution that is known to own a module which is not installed, None where none is."""
    parts = module.split(".")
    return next((name for n in range(len(parts), 0, -1) if (name := OWNERS.get(".".join(parts[:n])))), None)


# Local modules -------------------------------------------------------------------------------------------------------


def analyze_imports(source: bytes, origin: str, *, package: str = "") -> list[ImportUse]:
    """Return the imports of a module's source, relative ones made absolute by ``package``.

    Raises SyntaxError where it does not parse.
    """
    tree = ast.parse(source)
    guarded = _guarded(tree)
    uses = []
    for node in ast.walk(tree):
        where = f"{origin}, line {getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            uses += [ImportUse(alias.name, (), where, node in guarded) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                base = package.split(".")[: len(package.split(".")) - node.level + 1] if package else []
                module = ".".join([*base, *([module] if module else [])])
            if module:
                uses.append(ImportUse(module, tuple(alias.name for alias in node.names), where, node in guarded))
        elif isinstance(node, ast.Call) and _is_import_call(node):
            argument = node.args[0]
            if (
                isinstance(argument, ast.Constant)
                and isinstance(argument.value, str)
                and not argument.value.startswith(".")
            ):
                uses.append(ImportUse(argument.value, (), where, node in guarded))
    return uses


def _is_import_call(node: ast.Call) -> bool:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in ("import_module", "__import__") and bool(node.args)


def _guarded(tree: ast.Module) -> set[ast.AST]:
    """Nodes that may fail to import without harm: under try/except of an import error, or for type checkers only."""
    guarded: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Try) and any(_catches_import(handler.type) for handler in node.handlers):
            for part in (*node.body, *node.handlers):
                guarded.update(ast.walk(part))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for part in node.body:
                guarded.update(ast.walk(part))
    return guarded


def _catches_import(kind: ast.expr | None) -> bool:
    if kind is None:
        return True
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(
        getattr(k, "id", getattr(k, "attr", "")) in ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")
        for k in kinds
    )


def _add_local(work: _Work, located: Located, why: str) -> None:
    """Take a local module, its packages up to the top, what it imports, and its packages' data files."""
    assert located.path is not None
    for path in (located.path, *_package_inits(located)):
        if path in work.seen_files:
            continue
        work.seen_files.add(path)
        _add_file(work, path, located.root, why)
        if path.name == f"__init__{path.suffix}":
            for data in _iter_data_files(path.parent, located.root):
                _add_file(work, data, located.root, f"data of package {path.parent.name}")
        if path.suffix != ".py":
            continue
        relative = path.relative_to(located.root).with_suffix("")
        parts = relative.parts[:-1]
        with open_beneath(path, located.root) as stream:
            source = stream.read()
        try:
            uses = analyze_imports(source, relative.as_posix() + ".py", package=".".join(parts))
        except (SyntaxError, ValueError) as error:
            raise RequirementError(
                f"local module {relative.as_posix()}.py does not parse: {error}",
                hint="correct the module; the image would fail to import it",
            ) from error
        if parts and re.search(rb"pkgutil|importlib|__import__", source):
            _add_whole_package(work, located.root / parts[0], located.root)
        for use in uses:
            _add_import(work, use)


def _package_inits(located: Located) -> Iterator[Path]:
    assert located.path is not None
    folder = located.path.parent
    while folder != located.root and folder.is_relative_to(located.root):
        init = folder / "__init__.py"
        if init.is_file():
            yield init
        folder = folder.parent


def _add_whole_package(work: _Work, package: Path, root: Path) -> None:
    for path in iter_files(package, root, skip=_is_hidden):
        if path.suffix == ".py" and path not in work.seen_files:
            module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
            _add_local(work, Located(module, path, root), f"package {package.name} imports by name")


def _iter_data_files(package: Path, root: Path) -> Iterator[Path]:
    for path in iter_files(package, root, skip=_is_hidden):
        if path.suffix not in (".py", ".pyc", ".ipynb"):
            yield path


def _is_hidden(relative: str) -> bool:
    name = relative.rpartition("/")[2]
    return name.startswith(".") or name == "__pycache__"


def _add_file(work: _Work, path: Path, root: Path, why: str) -> None:
    name = f"app/{work.installed.place_of(path, root)}"
    if name not in work.modules:
        work.modules[name] = file_entry(name, path, root, mode=0o644, why=why)
