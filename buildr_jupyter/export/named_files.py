"""Named files: what the program may read by a path that stands somewhere in its text, or is put together there.

A reader's name says little of what is read: a path comes as a keyword, through a name, a loop, ``Path / name``, or goes
to a library that no table knows. So every text of the program that is the relative path of a file or folder here is
carried. Columns (``frame["data"]``) are no paths.
"""

from __future__ import annotations

import ast
import fnmatch
import glob
import itertools
import os
import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from buildr_jupyter.analysis.scope import called_name
from buildr_jupyter.errors import FileRefused
from buildr_jupyter.export.data_files import open_mode
from buildr_jupyter.export.known_texts import Evaluated, Texts
from buildr_jupyter.export.outside_paths import OutsidePaths
from buildr_jupyter.export.project import Tree
from buildr_jupyter.model.plan import FileEntry
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.process.confined import file_entry, iter_files, open_beneath, resolve_beneath
from buildr_jupyter.secretscan.scan import never_included

__all__ = ["COMMANDS", "carry_named", "listings_of_program", "listings_unknown", "readers_unknown", "texts"]

_MAX_TEXTS = 10_000
_MAX_CHARS = 1024
"""A longer text is no path, and no part of one: texts that double from line to line stay small."""
_SEPARATORS = re.compile(r"[\s'\"`()<>|;,=&]+")
_URL = re.compile(r"(?:[a-z]+[+\w]*:///|file:(?!//))([^/?#\s][^?#\s]*)")
_SETTINGS = (".yaml", ".yml", ".json", ".toml", ".ini", ".cfg", ".env")
_MOST_SETTINGS = 1 << 16
"""Bytes of a file of settings that are looked at."""
_WORDS_OF_SETTINGS = re.compile(r"[\s'\"`()<>|;,=&\[\]{}]+|:\s")
COMMANDS = frozenset(("run", "getoutput", "check_output", "check_call", "call", "Popen", "system", "popen"))
"""Functions that are given a line of a shell: its words may be folders."""
_ENDINGS = (".db", ".dat", ".dir", ".bak", ".pag")
"""What the modules of dbm put to the name that they are given."""
_LISTING = frozenset(("glob.glob", "glob.iglob", "os.listdir", "os.scandir", "os.walk", "os.fwalk"))
"""Functions that list files, those of ``os`` in the working directory where they are given none."""
_LISTS_OF_PATHS = frozenset(("glob", "rglob", "iterdir"))
"""Methods by which a path lists files."""
_LISTING_NAMES = _LISTS_OF_PATHS | {path.rpartition(".")[2] for path in _LISTING}
_LIST_BY_COMMAND = frozenset(("ls", "dir", "find", "tree", "du"))
"""Commands that list the working directory where they are given no folder."""
_WILDCARDS = re.compile(r"[*?\[]")
_MAX_FOUND = 10_000
"""So many files are looked at that fit a pattern."""


def texts(program: Iterable[Evaluated]) -> Iterator[tuple[str, str]]:
    """Yield (text, where) for each text that the statements hold or put together out of texts that are known."""
    for tree, title, values in program:
        nodes = list(ast.walk(tree))
        columns = {id(part) for node in nodes if isinstance(node, ast.Subscript) for part in _keys(node.slice)}
        lines = {
            id(one)
            for node in nodes
            if isinstance(node, ast.Call) and called_name(node) in COMMANDS
            for one in node.args[:1]
        }
        shelves = {
            id(one) for node in nodes if isinstance(node, ast.Call) and _opens_shelf(node) for one in node.args[:1]
        }
        for node in nodes:
            if not isinstance(node, ast.expr) or id(node) in columns:
                continue
            where = f"{title}, line {node.lineno}"
            for text in filter(None, values[id(node)]):
                yield text, where
                yield from ((f"{text}{ending}", where) for ending in (_ENDINGS if id(node) in shelves else ()))
                if url := _URL.match(text):  # of a database: ``sqlite:///data/shop.db``
                    yield url[1], where
                if _SEPARATORS.search(text):  # a shell line, an SQL statement, a magic: its words may be paths
                    words = _SEPARATORS.split(text)
                    yield from ((word, where) for word in words if "." in word or "/" in word or id(node) in lines)


def _opens_shelf(node: ast.Call) -> bool:
    owner = node.func.value if isinstance(node.func, ast.Attribute) and node.func.attr == "open" else None
    return isinstance(owner, ast.Name) and owner.id in ("shelve", "dbm")


def listings_unknown(program: Iterable[Evaluated]) -> Iterator[str]:
    """Yield a warning for each call or line of a shell that lists files of which the text does not say where they are.

    What a known folder holds, and what a known pattern finds, is carried; the notebook's whole folder is not.
    """
    for where, call, places, lines in _listings(program):
        if call is None:
            listing = next(filter(_lists_here, lines), "")
        else:
            unknown = not all(places) or any(map(_is_above, places[0]))
            listing = ast.unparse(call) if unknown else ""
        if listing:
            yield f"{where}: files that {_short(listing)} lists are not carried unless --include names them"


def listings_of_program(program: Iterable[Evaluated]) -> Iterator[str]:
    """Yield a warning for each pattern of files that the program itself fits, which lies where the notebook lay."""
    for where, call, places, lines in _listings(program):
        if call is None:
            listing = next(iter(lines), "")
            patterns = listing.split()
        else:
            listing, patterns = ast.unparse(call), [text for texts in places for text in texts]
        if any(map(_fits_program, filter(None, patterns))):
            yield f"{where}: {_short(listing)} finds main.py, too, which is the program itself"


def _listings(program: Iterable[Evaluated]) -> Iterator[tuple[str, ast.Call | None, list[Texts], list[str]]]:
    """Yield where files are listed: by a call, with what its places may be, or, without one, by lines of a shell."""
    statements = list(program)
    imported = _imported(tree for tree, _, _ in statements)
    for tree, title, values in statements:
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            where = f"{title}, line {node.lineno}"
            if (places := _listed(node, imported)) is not None:
                yield where, node, [values.get(id(one), ()) for one in places], []
            elif node.args and called_name(node) in COMMANDS:
                yield where, None, [], [line for line in values.get(id(node.args[0]), ()) if line]


def _fits_program(pattern: str) -> bool:
    parts = [part for part in pattern.split("/") if part not in (".", "**")]
    return (
        len(parts) == 1
        and bool(_WILDCARDS.search(parts[0]))
        and parts[0] != "*"
        and (fnmatch.fnmatchcase("main.py", parts[0]))
    )


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_above(text: str) -> bool:
    """Tell whether a path is that of the notebook's folder, or of one that it is in."""
    return {*posixpath.normpath(text).split("/")} <= {".", "..", "*"} and not text.startswith("/")


def _lists_here(line: str) -> bool:
    """Tell whether a command of a shell's line lists the working directory, or is given all that is there."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    words.commenters = ""
    try:
        found = list(words)
    except ValueError:  # a quotation without its end
        return False
    groups = itertools.groupby(found, lambda word: set(word) <= set("();|&"))
    return any(_is_given_here(list(command)) for ends, command in groups if not ends)


def _is_given_here(command: list[str]) -> bool:
    places = [word for word in command[1:] if not word.startswith("-")]
    if command[0] == "find":  # its expression has words, too
        places = list(itertools.takewhile(lambda word: not word.startswith(("-", "(", "!")), command[1:]))
    if command[0] in _LIST_BY_COMMAND and (not places or places[0] in ("<", ">", ">>", "2>")):
        return True
    return command[0] not in ("cd", "echo") and any(word and (word == "$PWD" or _is_above(word)) for word in places)


def readers_unknown(program: Iterable[Evaluated]) -> Iterator[str]:
    """Yield a warning for each ``open`` that reads a file of which the text does not say which one it is.

    One that the program writes itself, by the same expression, is no such file.
    """
    calls = [
        (node, title, values)
        for tree, title, values in program
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "open"
    ]
    given = [(next(iter(_paths_of(node)), None), open_mode(node), title, values) for node, title, values in calls]
    written = {ast.unparse(path) for path, mode, _, _ in given if path is not None and set(mode) & set("wxa")}
    said: set[str] = set()
    for path, mode, title, values in given:
        if path is None or set(mode) & set("wxa") or isinstance(path, ast.Constant) or values.get(id(path)):
            continue
        text = ast.unparse(path)
        where = f"{title}, line {path.lineno}"
        if text not in written and where not in said:
            said.add(where)
            yield f"{where}: which file open({_short(text)}) reads is not known: it is carried where --include names it"


def _paths_of(node: ast.Call) -> list[ast.expr]:
    return [*node.args[:1], *(one.value for one in node.keywords if one.arg == "file")]


def _imported(trees: Iterable[ast.AST]) -> dict[str, str]:
    """Return what the names stand for that the program's imports bind, as dotted names."""
    found: dict[str, str] = {}
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Import):
            found |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name == "*":
                    found |= {path.rpartition(".")[2]: path for path in _LISTING if path.startswith(f"{node.module}.")}
                else:
                    found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def _listed(node: ast.Call, imported: Mapping[str, str]) -> list[ast.expr] | None:
    """Return what says where a call lists files; None for a call that lists none."""
    given = [*node.args[:1], *(one.value for one in node.keywords if one.arg in ("pathname", "path", "top", "pattern"))]
    if isinstance(node.func, ast.Name):
        path = imported.get(node.func.id, "")
    elif isinstance(node.func, ast.Attribute) and node.func.attr in _LISTING_NAMES:
        owner = getattr(node.func.value, "id", "")
        path = f"{imported.get(owner, owner)}.{node.func.attr}"
    else:
        return None
    if path in _LISTING:
        return given or [ast.Constant(".")]
    if isinstance(node.func, ast.Attribute) and node.func.attr in _LISTS_OF_PATHS:
        return [node if given else node.func.value]
    return None


def _keys(node: ast.expr) -> Iterator[ast.expr]:
    yield node
    if isinstance(node, (ast.Tuple, ast.List)):
        for element in node.elts:
            yield from _keys(element)


def carry_named(
    program: Iterable[Evaluated],
    place: Tree,
    *,
    known: Iterable[str],
    written: Iterable[str],
    limit_bytes: int,
    observed: Iterable[Evaluated] = (),
    outside: OutsidePaths | None = None,
) -> tuple[list[FileEntry], list[BuildWarning]]:
    """Return the entries for files and folders that a text of the program names, and what was left out as too large.

    ``place`` says where a file of the notebook's folder goes; ``known`` are paths of the context that are carried
    already, ``written`` paths that the program makes itself or gets when it is run. ``observed`` are parts of the
    program of which a kernel saw what they opened: of their texts only those count that are a file's whole path.
    ``outside`` is told the paths that lead out of the folder.
    """
    entries: dict[str, FileEntry] = {}
    folder = place.folder
    warnings: list[BuildWarning] = []
    made, there = set(written), set(known)
    seen: set[str] = set()
    found_in = itertools.chain(
        ((True, *one) for one in texts(program)),
        ((False, *one) for one in texts(observed)),
        ((False, *one) for one in _in_settings(place, known, entries)),
    )
    for whole, text, where in found_in:
        if text in seen or len(seen) > _MAX_TEXTS or not _is_relative(text) or text.removeprefix("./") in made:
            continue
        seen.add(text)
        places = [*_meant(text, folder)] if whole else [one for one in (folder / text,) if not one.is_dir()]
        if _leads_out(text):
            if outside is not None:
                outside.note(text, where, places)
            if not Path(os.path.normpath(folder / text)).is_relative_to(folder):
                continue
        for path in (one for found in places for one in _files_of(found, folder)):
            target = place.below(path.relative_to(folder).as_posix())
            if target in there or target in entries:
                continue
            if path.stat().st_size > limit_bytes:
                size = f"{path.stat().st_size:,}"
                warnings.append(
                    BuildWarning(
                        f"{where}: {path.name} has {size} bytes and is not carried",
                        hint=f"carry it all the same with --include {path.relative_to(folder).as_posix()}",
                    )
                )
                continue
            entries[target] = file_entry(target, path, folder, why=f"named in {where}")
    return [entries[target] for target in sorted(entries)], warnings


def _in_settings(place: Tree, known: Iterable[str], entries: Mapping[str, FileEntry]) -> Iterator[tuple[str, str]]:
    """Yield (text, where) for each word of the settings that are carried: they say where data lies."""
    top = place.below("")
    for target in sorted({*known, *entries}):
        if not target.startswith(top) or not target.endswith(_SETTINGS):
            continue
        path = target.removeprefix(top)
        try:
            with open_beneath(place.folder / path, place.folder) as stream:
                content = stream.read(_MOST_SETTINGS).decode("utf-8", "replace")
        except (OSError, FileRefused):
            continue
        for word in dict.fromkeys(_WORDS_OF_SETTINGS.split(content)):
            if "." in word or "/" in word:
                yield word, path


def _is_relative(text: str) -> bool:
    parts = PurePosixPath(text).parts
    fits = (
        0 < len(text) < _MAX_CHARS
        and "\0" not in text
        and all(len(part.encode(errors="replace")) < 256 for part in parts)
    )
    return fits and bool(parts) and not text.startswith(("/", "~"))


def _leads_out(text: str) -> bool:
    """Tell whether a relative path leaves the folder at any part of it."""
    depth = 0
    for part in PurePosixPath(text).parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return False


def _meant(text: str, folder: Path) -> Iterator[Path]:
    """Yield the path that a text is, and those that it fits as a pattern, as ``glob`` and its like take it.

    A pattern has a folder or an ending, ``*.csv`` or ``part_*.csv``: a mere ``*`` is more often no pattern of paths.
    """
    yield folder / text
    if _WILDCARDS.search(text) and not re.search(r"\s", text) and ("/" in text or re.search(r"\.\w+\Z", text)):
        try:
            # Path.glob would take hidden files, too.
            matches = glob.iglob(text, root_dir=folder, recursive=True)  # noqa: PTH207
            found = itertools.islice(matches, _MAX_FOUND)
            yield from (folder / one for one in sorted(found))
        except (OSError, ValueError, re.error):
            return


def _files_of(path: Path, folder: Path) -> list[Path]:
    """Return the files that a path means, all those in a folder; a link out of it and a login are left out."""
    path = Path(os.path.normpath(path))
    if path == folder:
        return []
    try:
        if path.is_dir():
            resolve_beneath(path, folder)
            return list(iter_files(path, folder, skip=never_included))
        if path.is_file() and not never_included(path.relative_to(folder).as_posix()):
            resolve_beneath(path, folder)
            return [path]
    except (OSError, FileRefused):
        return []
    return []
