"""IPython's dialect as plain Python: magics and shell lines are translated, become requirements, or are refused."""

from __future__ import annotations

import ast
import getopt
import io
import re
import shlex
import string
import tokenize
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from buildr_jupyter.analysis.scope import BUILTINS, constant_text
from buildr_jupyter.export.measured import measured_nodes
from buildr_jupyter.export.pip_lines import PipLine, read_magic, read_shell
from buildr_jupyter.notebook.parse_cache import parsed

__all__ = ["PUSHED", "Translated", "asks_for_lines", "edited", "kernel_name_hint", "kernel_names", "translate"]

_FALL_AWAY = frozenset(
    [
        "matplotlib",
        "reload_ext",
        "unload_ext",
        "autoreload",
        "pinfo",
        "pinfo2",
        "psource",
        "pdoc",
        "pdef",
        "pfile",
        "time_",
        "tensorboard",
        "pprint",
        "xmode",
        "colors",
        "pdb",
        "debug",
        "doctest_mode",
        "logstart",
        "logstop",
        "notebook",
        "page",
        "quickref",
        "sx_",
        "tb",
        "magic",
        "automagic",
        "gui",
        "watermark",
        "javascript",
        "containerize",
        "dhist",
        "ls_",
        "clear",
        "cls",
    ]
)
"""Magics of the screen: they change nothing that a program gives, and print nothing into the cell."""
_LISTINGS = frozenset(["who", "whos", "history", "hist", "lsmagic", "who_ls"])
"""Magics that do no more than print: one that stands alone falls away, but in the cell that is exported."""
_MEASURES = {"prun": "l:s:T:D:rq", "memit": "r:t:i:co", "mprun": "rT:f:c", "lprun": "rszT:D:f:m:u:"}
"""Magics that run a statement, and print what that took; with their options, as ``getopt`` takes them."""
_SCREEN_SETTINGS = ("InlineBackend.", "IPCompleter.", "Completer.", "HistoryManager.", "ContainerizeMagics.")
"""Beginnings of what ``%config`` sets that no program reads."""
_INTERACTIVITY = "InteractiveShell.ast_node_interactivity"
"""What ``%config`` sets, for this class or a subclass, that the program's text says another way."""
_BODIES = frozenset(["time", "capture", "prun", "containerize"])
_ALIASES = frozenset(
    ["mkdir", "rmdir", "rm", "cp", "mv", "cat", "ls", "ll", "lf", "lk", "ldir", "lx", "less", "more", "man"]
)
"""Magics that IPython makes of shell commands."""
_OWN_EXTENSIONS = frozenset(
    ["autoreload", "line_profiler", "memory_profiler", "watermark", "tensorboard", "buildr_jupyter"]
)
"""Extensions whose magics all fall away."""
_COMMANDS = {"ll": "ls -l", "lf": "ls -l", "lk": "ls -l", "ldir": "ls -l", "lx": "ls -l", "less": "cat", "more": "cat"}
_SHELLS = {"bash": "bash", "sh": "sh", "script bash": "bash", "script sh": "sh"}
_PYLAB = (
    "import numpy, matplotlib; from matplotlib import pylab, mlab, pyplot; np = numpy; plt = pyplot; "
    "from matplotlib.pylab import *; from numpy import *"
)
_SHOWN_ONLY = frozenset(("html", "HTML", "javascript", "js", "latex", "markdown", "svg", "SVG"))
"""Cell magics that show their text, and do nothing else."""
_LANGUAGES = frozenset(("perl", "ruby", "pypy", "python", "python2", "python3", "script", "sx", "system", "!", "cmd"))
"""Cell magics that run another program, and that every IPython has."""
_FOREIGN = _SHOWN_ONLY | frozenset(("perl", "ruby", "pypy", "python2", "cython", "cmd", "R", "sql", "writefile"))
"""Cell magics of which other cells need nothing."""
_BASH = '__import__("shutil").which("bash")'
_NAMED_KERNEL = re.compile(r"^[ \t]*(\w+)[ \t]*=[ \t]*get_ipython\(\)[ \t]*$", re.MULTILINE)
PUSHED = "_buildr_pushed"
"""Name of the list, in the module ``os``, of the folders to which ``%popd`` goes back."""
_PUSHED = f'__import__("os").__dict__.setdefault("{PUSHED}", [])'
_LINES_USE = re.compile(r"\.(?:n|nlstr|s|spstr|l|list|p|paths|get_(?:list|nlstr|spstr|paths)|grep|fields|sort)\b")
_LINES = " ".join(
    """\
type("SList", (list,), {
"l": property(lambda x: x), "list": property(lambda x: x), "get_list": lambda x: x,
"n": property("\\n".join), "nlstr": property("\\n".join), "get_nlstr": lambda x: "\\n".join(x),
"s": property(" ".join), "spstr": property(" ".join), "get_spstr": lambda x: " ".join(x),
"p": property(lambda x: x.get_paths()), "paths": property(lambda x: x.get_paths()),
"get_paths": lambda x: [__import__("pathlib").Path(p) for p in x if __import__("os").path.exists(p)],
"grep": lambda x, pattern, prune=False, field=None: type(x)([t for t in x for f in [t if field is None else
(t.split()[field:][:1] or [""])[0]] if prune != bool(__import__("re").search(pattern, f, 2)
if isinstance(pattern, str) else pattern(f))]),
"fields": lambda x, *n: type(x)([t for p in map(str.split, x)
for t in [" ".join(p[i] for i in n if -len(p) <= i < len(p))] if t]) if n else [t.split() for t in x],
"sort": lambda x, field=None, nums=False: type(x)(sorted(x, key=lambda t:
(lambda k: ((int("".join(c for c in "".join(k) if c.isdigit()) or 0) if nums else k), t))(
t if field is None else [" ".join(t.split()[field:][:1])])))
})""".splitlines()
)
"""Class of the lines of a shell's output, as IPython has it."""
_DOLLAR = re.compile(r"(.*?)\$(\$?[\w.]+)(?=([^']*'[^']*')*[^']*$)", re.DOTALL)
"""A ``$name``, but between single quotes; ``$$name`` is the shell's."""


@dataclass(frozen=True, slots=True)
class Translated:
    """A cell's code without the dialect, as far as that can be had."""

    source: str
    """Plain Python with the line numbers of the cell; what cannot be translated still says ``get_ipython()``."""
    requirements: tuple[tuple[str, int], ...] = ()
    """(requirement by name, 1-based line) from ``%pip install`` and ``!pip install``."""
    passed_over: tuple[tuple[str, int], ...] = ()
    """(what such a line names in another way, 1-based line)."""
    foreign: str | None = None
    """The cell's magic, where the cell is in another language; ``source`` is then what it does for other cells."""
    measured: tuple[ast.stmt, ...] = ()
    """What ``timeit`` measured, nobody knows how often: it is read, and left out of ``source``."""
    captured: bool = False
    """``%%capture`` keeps what the cell prints."""
    display_captured: bool = False
    """``%%capture`` keeps the value that the cell would show."""


def kernel_names(source: str) -> set[str]:
    """Return the names that a text gives the kernel: ``ip`` of ``ip = get_ipython()``."""
    return set(_NAMED_KERNEL.findall(source)) if "get_ipython" in source else set()


def asks_for_lines(source: str) -> bool:
    """Tell whether a text may use what the lines of a shell's output have beside a list: ``files.n``, ``files.grep()``.

    They have another ``sort()``, too.
    """
    return _LINES_USE.search(source) is not None


def translate(
    source: str,
    transform: Callable[[str], str | None],
    *,
    chosen: bool = True,
    lines: bool = False,
    kernels: Collection[str] = (),
    names: Collection[str] | None = None,
) -> Translated:
    """Return transformed code with IPython's calls written in plain Python.

    ``transform`` turns the body of a cell magic into Python, or None; ``chosen`` tells the cell that is exported from
    those that ran before; ``lines``: what a shell line gives is more than a list; ``kernels`` are names of the kernel,
    ``names`` those that the notebook binds. What only IPython can do stays a call of ``get_ipython()``.
    """
    if "get_ipython()" not in source and not any(f"{name}." in source for name in kernels):
        return Translated(source)
    tree = parsed(source)
    if len(tree.body) == 1 and (cell := _cell_magic(tree.body[0])):
        name, arguments, body = cell
        if name in _BODIES:
            inner = transform(body)
            translated = (
                Translated("")
                if inner is None
                else translate("\n" + inner, transform, lines=lines, kernels=kernels, names=names)
            )
            if name == "capture":
                options = arguments.split()
                if not chosen and any(not option.startswith("-") for option in options):
                    return replace(translated, source=_captured(translated.source, options))
                return replace(
                    translated, captured="--no-stdout" not in options, display_captured="--no-display" not in options
                )
            return translated
        if name == "timeit" and "-o" not in arguments.split():
            return Translated("", measured=tuple(measured_nodes(arguments, body, 1)))
        if shell := _SHELLS.get(f"{name} {arguments}".strip()):
            return Translated(_shell(shell, body))
        if name in ("writefile", "file"):
            return Translated(source) if chosen else Translated(_writes(arguments, body, names), foreign=name)
        if chosen and name in _SHOWN_ONLY | _LANGUAGES | _SHELLS.keys():
            return Translated(source)  # IPython runs it in the image
        return Translated(source if name not in _FOREIGN else "", foreign=name)
    installed: list[tuple[PipLine, int]] = []
    edits: list[tuple[ast.expr, str]] = []
    measured: list[ast.stmt] = []
    alone = set() if chosen else {id(node.value) for node in tree.body if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (method := _kernel_method(node, kernels)):
            words = [constant_text(argument) for argument in node.args]
            listed = method == "run_line_magic" and id(node) in alone and words[:1] and words[0] in _LISTINGS
            text = "None" if listed else _expression(method, words, node.lineno, installed, lines, names)
            if text is not None:
                edits.append((node, text))
                if method == "run_line_magic" and words[:1] == ["timeit"]:
                    measured += measured_nodes((words[1] if len(words) > 1 else "") or "", None, node.lineno)
    return Translated(
        edited(source, edits),
        measured=tuple(measured),
        requirements=tuple((text, line) for found, line in installed for text in found.requirements),
        passed_over=tuple((text, line) for found, line in installed for text in found.passed_over),
    )


def _writes(arguments: str, body: str, names: Collection[str] | None) -> str:
    """Return the statement that does what ``%%writefile`` does, on the line of the magic."""
    words = shlex.split(arguments)
    mode = "a" if words[:-1] in (["-a"], ["--append"]) else "w"
    return (
        f'open({_formatted(words[-1], names)}, {mode!r}, encoding="utf-8").write({body!r}) and None\n' if words else ""
    )


def _shell(shell: str, body: str) -> str:
    """Return the statement that does what ``%%bash`` does, on the line of the magic."""
    text = f"{body.rstrip()}\n".encode()
    return f'__import__("subprocess").run([{shell!r}], input={text!r}) and None\n'


def _captured(source: str, options: list[str]) -> str:
    """Return the statements within IPython's capture, as ``%%capture NAME`` keeps what they print."""
    name = next(option for option in options if not option.startswith("-"))
    what = ", ".join(f"{part}={f'--no-{part}' not in options}" for part in ("stdout", "stderr", "display"))
    inside: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.start[0] != token.end[0] and token.string.strip():
            inside.update(range(token.start[0] + 1, token.end[0] + 1))  # lines of a text are not indented
    lines = source.splitlines(keepends=True)
    body = [line if number in inside or not line.strip() else f"    {line}" for number, line in enumerate(lines, 1)]
    head = f'with __import__("IPython.utils.capture", fromlist=["*"]).capture_output({what}) as {name}:'
    text = "".join([f"{head}\n", *body[1:]]) if body and not body[0].strip() else "".join([f"{head}\n", *body])
    return text if any(line.strip() for line in body) else f"{text}    pass\n"


def _cell_magic(node: ast.stmt) -> tuple[str, str, str] | None:
    if (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and _kernel_method(node.value) == "run_cell_magic"
    ):
        texts = [constant_text(argument) or "" for argument in node.value.args]
        return (texts[0], texts[1], texts[2]) if len(texts) == 3 else None
    return None


def _kernel_method(node: ast.Call, kernels: Collection[str] = ()) -> str | None:
    function = node.func
    if not isinstance(function, ast.Attribute):
        return None
    owner = function.value
    if isinstance(owner, ast.Call) and isinstance(owner.func, ast.Name) and owner.func.id == "get_ipython":
        return function.attr
    return function.attr if isinstance(owner, ast.Name) and owner.id in kernels else None


def _expression(
    method: str,
    args: list[str | None],
    line: int,
    installed: list[tuple[PipLine, int]],
    lines: bool,
    names: Collection[str] | None,
) -> str | None:
    """Return the plain expression for one call of the kernel; None where there is none."""
    first = args[0] if args else None
    if first is None:
        return None
    if method in ("system", "getoutput", "getoutputs"):
        if pip := read_shell(first):
            installed.append((pip, line))
            return "None"
        command = _formatted(first, names)
        if method == "system":
            return _shell_line(command)
        found = f'__import__("subprocess").getoutput({command}).splitlines()'
        return f"{_LINES}({found})" if lines else found
    if method == "magic":
        first, _, rest = first.removeprefix("%").partition(" ")
        return _line_magic(first, rest, line, installed, names)
    if method == "run_line_magic":
        return _line_magic(first, (args[1] if len(args) > 1 else "") or "", line, installed, names)
    return None


def _line_magic(
    name: str, rest: str, line: int, installed: list[tuple[PipLine, int]], names: Collection[str] | None
) -> str | None:
    if name in _FALL_AWAY or (name == "load_ext" and rest.split(".")[0].strip() in _OWN_EXTENSIONS):
        return "None"
    if name == "config":
        said = rest.strip()
        return "None" if not said or said.startswith(_SCREEN_SETTINGS) or _INTERACTIVITY in said else None
    if name in _MEASURES:
        return _measured(name, rest)
    if name == "timeit":
        return None if "-o" in rest.split() else "None"
    if name in _ALIASES:
        command = _formatted(f"{_COMMANDS.get(name, name)} {rest}".strip(), names)
        return _shell_line(command)
    if name == "aimport":
        modules = [word.strip(",") for word in rest.split() if not word.startswith("-")]
        return "; ".join(f"import {module}" for module in modules) or "None"
    if name == "pylab":
        return _PYLAB
    if name in ("pip", "conda", "mamba", "uv"):
        if found := read_magic(name, rest):
            installed.append((found, line))
        return "None"
    if name == "time":
        return rest
    if name in ("env", "set_env"):
        key, sign, value = rest.partition("=") if "=" in rest else rest.partition(" ")
        if sign:
            return f'__import__("os").environ.update({{{key.strip()!r}: {_formatted(value.strip(), names)}}})'
        return f'__import__("os").environ[{key.strip()!r}]' if key.strip() else 'dict(__import__("os").environ)'
    if name == "cd":
        return _changed_folder(rest, names)
    if name == "pushd":
        changed = _changed_folder(rest, names) if rest.strip() else "None"
        # The folder is remembered only if the program gets into the other one.
        return changed and f'{_PUSHED}.append([__import__("os").getcwd(), {changed}][0])'
    if name == "popd":
        return f'__import__("os").chdir({_PUSHED}.pop())'
    if name == "pwd":
        return '__import__("os").getcwd()'
    if name == "run":
        words = shlex.split(rest)
        if words and not words[0].startswith("-"):
            path = words[0] if words[0].endswith((".py", ".ipynb")) else f"{words[0]}.py"
            if not path.endswith(".py"):
                return None
            ran = f'__import__("runpy").run_path({path!r}, run_name="__main__")'
            # What the file defines is the notebook's from then on.
            text = f'vars(__import__("__main__")).update({{k: v for k, v in {ran}.items() if k[:2] != "__"}})'
            if len(words) == 1:
                return text
            argv = '__import__("sys").argv'
            given = f"{argv}[:], {argv}.__setitem__(slice(None), {[path, *words[1:]]!r}), {text}"
            return f"{argv}.__setitem__(slice(None), [{given}][0])"
    return None


def _shell_line(command: str) -> str:
    """Return the expression that runs a line as IPython does: by the shell that people have, where the image has it."""
    return f'__import__("subprocess").run({command}, shell=True, executable={_BASH}) and None'


def _changed_folder(rest: str, names: Collection[str] | None) -> str | None:
    """Return the expression for ``%cd``; None for a folder of the history and a bookmark."""
    words = rest.split(maxsplit=1)
    place = (words[1] if len(words) > 1 else "") if words[:1] == ["-q"] else rest
    place = place.strip()
    if place.startswith("-"):
        return None
    if len(place) > 1 and place[0] == place[-1] and place[0] in "'\"":
        place = place[1:-1]
    if place.startswith("~") or not place:
        return f'__import__("os").chdir(__import__("os").path.expanduser({_formatted(place or "~", names)}))'
    return f'__import__("os").chdir({_formatted(place, names)})'


def _measured(name: str, rest: str) -> str | None:
    """Return the statement that ``%prun`` and its like run, behind their options; None where that cannot be told."""
    words = rest.split()
    try:
        _, statement = getopt.getopt(words, _MEASURES[name])
    except getopt.GetoptError:
        return None
    options = words[: len(words) - len(statement)]
    if not statement or any(word.count(quote) % 2 for word in options for quote in "'\""):
        return None  # an option's value has blanks in it
    return rest.split(maxsplit=len(options))[-1]


def _formatted(text: str, names: Collection[str] | None = None) -> str:
    """Return a literal, or the expression for a line that holds ``{expression}`` or ``$name``, as IPython reads it.

    A line with a name that nothing binds, and one that is no format, stays as it is, all of it: ``for f in *; do echo
    $f; done``. ``names`` are those that the notebook binds; None where they are not known.
    """
    parts = _parts_of(text, names)
    if parts is None or not any(isinstance(part, ast.expr) for part in parts):
        return repr(text if parts is None else "".join(map(str, parts)))
    written = [repr(part) if isinstance(part, str) else f"str({ast.unparse(part)})" for part in parts if part != ""]
    return "(" + " + ".join(written) + ")"


def _parts_of(text: str, names: Collection[str] | None) -> list[str | ast.expr] | None:
    """Return the texts and expressions of a line; None for a line that IPython leaves as it is."""
    parts: list[str | ast.expr] = []
    try:
        for literal, field, spec, conversion in string.Formatter().parse(text):
            end, before = 0, ""
            for match in _DOLLAR.finditer(literal):
                if match[2].startswith("$"):
                    before += match[1] + match[2]
                else:
                    parts += [before + match[1], ast.parse(match[2], mode="eval").body]
                    before = ""
                end = match.end()
            parts.append(before + literal[end:])
            if field is not None:
                shown = ast.parse((f"{field}:{spec}" if spec else field).strip(), mode="eval").body
                parts.append(ast.Call(ast.Name("repr"), [shown], []) if conversion == "r" else shown)
    except (ValueError, SyntaxError):
        return None
    read = {node.id for part in parts if isinstance(part, ast.expr) for node in ast.walk(part)
            if isinstance(node, ast.Name)}  # fmt: skip
    known = names is None or read <= {*names, *BUILTINS}
    return parts if known else None


def edited(source: str, edits: Sequence[tuple[ast.expr | ast.stmt, str]]) -> str:
    """Return the source with expressions and statements written anew; line numbers stay."""
    lines = source.splitlines(keepends=True)
    for node, text in sorted(edits, key=lambda edit: (edit[0].lineno, edit[0].col_offset), reverse=True):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        head = lines[first].encode()[: node.col_offset].decode()
        tail = lines[last].encode()[node.end_col_offset :].decode()
        lines[first : last + 1] = [head + text + "\n" * (last - first) + tail]
    return "".join(lines)


def kernel_name_hint(name: str) -> str | None:
    """Return the way out for a name that only the kernel supplies; None for other names."""
    if name == "input":
        return "ask in another cell, and give its name by --param, or by --snapshot NAME: nobody answers in an image"
    if name == "get_ipython":
        return "write the line in plain Python: nothing of IPython is in the image"
    if re.fullmatch(r"_{1,3}|_\d+|_i+|_i\d+|In|Out|_oh|_ih|_dh", name):
        return "give the value a name in its own cell: the kernel's history is not in the image"
    return None
