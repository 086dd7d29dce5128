"""Cells as they ran: from a live kernel's history, or from a notebook file in document order.

IPython and nbformat are imported when they are needed.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import itertools
import json
import re
import shlex
import stat
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from buildr_jupyter.config.suggestions import nearest, nearest_hint
from buildr_jupyter.errors import NotebookError
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.notebook.observed import Observed
from buildr_jupyter.notebook.outputs import is_text
from buildr_jupyter.notebook.parse_cache import collector_paused, parses
from buildr_jupyter.notebook.text_form import read_text_form

__all__ = [
    "CellRun",
    "Notebook",
    "captured_body",
    "header_and_body",
    "mark_stale",
    "parse_notebook",
    "read_notebook",
    "runs_up_to",
    "select_cells",
    "syntax_error",
    "transform",
    "with_tags",
]

Status = Literal["ok", "error"]

_HEADER, _CAPTURE = (
    re.compile(rf"\A(?:[ \t]*\n)*[ \t]*%%{magic}(?!\w)[^\n]*(?:\n|\Z)") for magic in ("containerize", "capture")
)
_LATER_HEADER = re.compile(r"^%%containerize(?!\w)", re.MULTILINE)
_RAISED_AT = re.compile(r"(?:^|\n)(?:-+>|→)\s*(\d+)\s")
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_NAMED = 8
"""So many tags or ids are named where one is wrong."""
SKIP_TAG = "buildr:skip"
PARAMETERS_TAG = "parameters"


@dataclass(frozen=True, slots=True)
class CellRun:
    """One run of one cell. What is not known is None."""

    source: str
    """The text of the cell as it ran."""
    transformed: str | None
    """The same as plain Python; None where it cannot be parsed."""
    id: str | None = None
    """The cell's nbformat id."""
    index: int | None = None
    """0-based, among all cells of the notebook."""
    count: int | None = None
    """The kernel's execution count: for ordering only, it goes into no image."""
    status: Status | None = None
    failed_line: int | None = None
    """1-based line of ``source`` at which the run failed."""
    duration_s: float | None = None
    tags: tuple[str, ...] = ()
    stale: Literal["edited", "deleted"] | None = None
    """What happened to the cell since it ran."""
    stdout: str | None = None
    """What this run printed, and its value as text, where that was kept."""
    returned: tuple[str, ...] = ()
    """Names that the run of its image gave back and that were bound in the kernel after it."""
    observed: Observed | None = None
    """What it was seen to do in the kernel; None where nobody looked: in a file, before the extension was loaded."""
    magic: tuple[str, str] | None = None
    """The ``%%containerize …`` line and the text below it, as the magic was given them; None: ``source`` says both."""

    @property
    def header(self) -> str | None:
        """The ``%%containerize …`` line without its line end, None for a cell without one."""
        return self.magic[0] if self.magic else header_and_body(self.source)[0]

    @property
    def body(self) -> str:
        """The text below that line; all of it for a cell without one."""
        return self.magic[1] if self.magic else header_and_body(self.source)[1]

    @property
    def ran_here(self) -> bool:
        """Whether its body ran in the notebook's own namespace: with ``%%containerize`` only if asked."""
        if self.magic is None and "%%containerize" not in self.source:
            return True
        header = self.header
        return header is None or "--here" in header.split()


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook file, read."""

    name: str
    """File name: ``analysis.ipynb``; what is not UTF-8 in it is replaced."""
    folder: Path
    runs: tuple[CellRun, ...]
    """The code cells in document order; ``index`` counts the others too."""
    kernelspec: str | None = None
    language: str = "python"
    cell_count: int = 0
    """How many cells of any kind there are."""
    modified_at: float | None = None
    """The file's modification time, seconds since the epoch."""

    def run_at(self, index: int) -> CellRun:
        """Return the code cell with this 0-based index; raises NotebookError where there is none."""
        for run in self.runs:
            if run.index == index:
                return run
        if 0 <= index < self.cell_count:
            raise NotebookError(f"{self.name}: cell {index} is not a code cell")
        raise NotebookError(
            f"{self.name}: there is no cell {index}", hint=f"choose one of the cells 0 to {self.cell_count - 1}"
        )


def header_and_body(source: str) -> tuple[str | None, str]:
    """Return the ``%%containerize …`` line of a cell without its line end, and the rest; (None, source) without one."""
    found = _HEADER.match(source)
    if found is None:
        return None, source
    return found.group().strip(), source[found.end() :]


def captured_body(source: str) -> tuple[str, int] | None:
    """Return what ``%%capture`` runs as a cell of its own, without space around it, and how many lines stand before it.

    None for a cell without it.
    """
    found = _CAPTURE.match(source)
    return None if found is None else (source[found.end() :].strip(), found.group().count("\n"))


@functools.lru_cache(maxsize=2048)
def transform(source: str) -> str | None:
    """Return ``source`` as plain Python, through IPython's transformations where needed; None if it does not parse.

    A ``%%containerize`` line at its head becomes an empty line, so that line numbers stay.
    """
    return next((text for text in candidates(source) if parses(text)), None)


def candidates(source: str) -> Iterator[str]:
    """Yield what may be a cell's text in plain Python: as it is written, and through IPython's transformations."""
    text = _without_header(source)
    yield text
    try:
        transformed = _by_ipython(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    yield transformed


def syntax_error(source: str) -> tuple[int | None, str]:
    """Return the line of a cell, 1-based, at which it stops being Python, None where that is not known, and why."""
    text = _without_header(source)
    try:
        with contextlib.suppress(SyntaxError):
            text = _by_ipython(text)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except SyntaxError as error:
        return error.lineno, error.msg
    except ValueError as error:
        return None, str(error)
    except RecursionError:
        pass
    return None, "it is nested too deeply"


def _without_header(source: str) -> str:
    header, body = header_and_body(source)
    text = "\n" * (source.count("\n", 0, len(source) - len(body))) + body if header else source
    return text.replace("\r\n", "\n")


def _by_ipython(text: str) -> str:
    """Return ``text`` as IPython would run it, with the empty lines at its head, which IPython takes away."""
    from IPython.core.inputtransformer2 import TransformerManager

    empty = list(itertools.takewhile(lambda line: not line.strip(), text.split("\n")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        manager: Any = TransformerManager
        transformed: str = manager().transform_cell(text)
    return "\n" * len(empty) + transformed


def read_notebook(path: Path | str) -> Notebook:
    """Return the notebook in the file ``path``: nbformat 3 to 4.5, or jupytext's text, in Python; nothing of it is run.

    What decides about the program (cells and their text) must be as the format says; other parts that are not are
    taken as absent. Raises NotebookError, which names the file and says what is wrong with it.
    """
    path = Path(path)
    return parse_notebook(_read_file(path), path)


def parse_notebook(content: bytes, path: Path) -> Notebook:
    """Return the notebook whose file ``path`` has this content; raises as ``read_notebook``."""
    name = path.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    document = _document(content, name)
    metadata = _mapping(document.get("metadata"))
    spec, info = _mapping(metadata.get("kernelspec")), _mapping(metadata.get("language_info"))
    language = _text(info.get("name")) or _text(spec.get("language")) or "python"
    if not language.lower().startswith(("python", "ipython")):
        article = "an" if language in ("R", "F", "S") or language[0] in "AEIOaeio" else "a"
        kernel = f" (kernel {spec['name']})" if _text(spec.get("name")) else ""
        raise NotebookError(
            f"{name} is {article} {language} notebook{kernel}: only Python cells become images",
            hint="choose a notebook with a Python kernel",
        )
    with collector_paused():
        runs = [
            _run(cell, index, name) for index, cell in enumerate(document["cells"]) if cell.get("cell_type") == "code"
        ]
    return Notebook(
        name=name,
        folder=path.parent.absolute(),
        runs=tuple(runs),
        kernelspec=_text(spec.get("name")) or None,
        language=language,
        cell_count=len(document["cells"]),
        modified_at=path.stat().st_mtime if path.exists() else None,
    )


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    """Return a text of the format, which may stand in pieces; empty for anything else."""
    if isinstance(value, list) and all(isinstance(piece, str) for piece in value):
        return "".join(value)
    return value if isinstance(value, str) else ""


def _run(cell: Mapping[str, object], index: int, name: str) -> CellRun:
    said = cell.get("source")
    source = _text(said)
    if not source and said not in (None, "", []):
        raise NotebookError(
            f"{name}: cell {index} is broken: its source is neither a text nor a list of texts",
            hint="open the notebook in Jupyter and save it again",
        )
    metadata = _mapping(cell.get("metadata"))
    outputs = _mappings(cell.get("outputs"))
    tags = metadata.get("tags")
    count = cell.get("execution_count")
    count = count if isinstance(count, int) and not isinstance(count, bool) else None
    failed, line = _failure(outputs)
    return CellRun(
        source=source,
        transformed=transform(source),
        id=cell_id if isinstance(cell_id := cell.get("id"), str) else None,
        index=index,
        count=count,
        status="error" if failed else ("ok" if outputs or count else None),
        failed_line=line,
        tags=tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else (),
        stdout=_printed(outputs) if outputs else None,
    )


def _mappings(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _read_file(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            what = "a folder" if path.is_dir() else "no regular file"
            raise NotebookError(f"{path.name or path} is {what}, not a notebook file", hint="name a notebook file")
        return path.read_bytes()
    except FileNotFoundError:
        with contextlib.suppress(OSError):
            beside = [one.name for one in path.parent.iterdir() if one.suffix == path.suffix]
            near = nearest(path.name, beside)
            raise NotebookError(
                f"{path.name}: there is no such file", hint=f"write {near} if you meant that" if near else None
            ) from None
        raise NotebookError(f"{path.name}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise NotebookError(f"{path.name}: cannot be read: {error}") from error


def _document(content: bytes, name: str) -> JsonObject:
    raw = _parse_json(content, name)
    if not isinstance(raw, dict) or not isinstance(raw.get("nbformat"), int):
        raise NotebookError(f"{name}: not a notebook: it has no nbformat version")
    version = raw["nbformat"]
    if version not in (3, 4):
        raise NotebookError(f"{name}: notebook format {version} is not known", hint="save it in a format from 3 to 4.5")
    if version == 3:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import nbformat as formats  # takes a second: for the format that needs a conversion only

                nbformat: Any = formats
                raw = nbformat.convert(nbformat.from_dict(raw), 4)
        except Exception as error:
            raise NotebookError(f"{name}: broken notebook of format {version}: {error}") from error
    cells = raw.get("cells")
    if not isinstance(cells, list) or not all(isinstance(cell, Mapping) for cell in cells):
        raise NotebookError(f"{name}: broken notebook: it has no list of cells")
    return dict(raw)


def _parse_json(content: bytes, name: str) -> object:
    """Return the JSON value of a notebook file; an error tells the usual accidents apart."""
    if not content.strip():
        raise NotebookError(
            f"{name} is empty ({len(content)} bytes)", hint="save the notebook, or take it from a backup"
        )
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content[:4]:
        raise NotebookError(
            f"{name} is UTF-16 or UTF-32, and a notebook is UTF-8",
            hint=f"save it again as UTF-8, or convert it: iconv -f UTF-16 -t UTF-8 {shlex.quote(name)}",
        )
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise NotebookError(f"{name}: the file is not UTF-8: {error.reason} at byte {error.start}") from error
    except (ValueError, RecursionError) as error:
        if (converted := read_text_form(content.decode("utf-8-sig"), name)) is not None:
            return converted
        marker = re.search(rb"^(?:<{7}|>{7}|={7})(?: |\r?$)", content, re.MULTILINE)
        if marker is not None:
            line = content.count(b"\n", 0, marker.start()) + 1
            raise NotebookError(
                f"{name}: the file has the marks of a merge conflict, the first at line {line}",
                hint="resolve the conflict: nbdime merges notebooks, git checkout --ours or --theirs takes one side",
            ) from error
        why = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise NotebookError(f"{name}: not a notebook, for it is not JSON: {why}") from error


def _failure(outputs: Sequence[Mapping[str, object]]) -> tuple[bool, int | None]:
    for output in outputs:
        if output.get("output_type") == "error":
            said = output.get("traceback")
            lines = said if isinstance(said, list) else []
            text = _ANSI.sub("", "\n".join(str(line) for line in lines))
            # The first arrow is the frame of the cell itself; later ones are those that it called.
            found = _RAISED_AT.search(text)
            return True, int(found.group(1)) if found else None
    return False, None


def _printed(outputs: Sequence[Mapping[str, object]]) -> str:
    parts = []
    for output in outputs:
        if output.get("output_type") == "stream" and output.get("name") == "stdout":
            parts.append(_text(output.get("text")))
        elif output.get("output_type") in ("execute_result", "pyout") or (
            output.get("output_type") == "display_data" and is_text(_mapping(output.get("data")))
        ):
            parts.append(_text(_mapping(output.get("data")).get("text/plain")) + "\n")
    return "".join(parts)


def select_cells(notebook: Notebook, selector: str | None) -> list[int]:
    """Return the 0-based indices of the cells that ``selector`` means, ascending.

    ``selector`` is an index, ``id:…`` or ``tag:…``; None means every cell that begins with ``%%containerize``.
    Raises NotebookError where there is no such cell, or a tag is on two cells.
    """
    name = notebook.name
    if selector is None:
        found = [run.index for run in notebook.runs if run.header and SKIP_TAG not in run.tags]
        if not found:
            raise _nothing_chosen(notebook)
        return [index for index in found if index is not None]
    kind, _, value = selector.partition(":")
    if kind in ("id", "tag") and value:
        if kind == "id":
            matching = [run.index for run in notebook.runs if run.id == value]
        else:
            matching = [run.index for run in notebook.runs if value in run.tags]
        if not matching:
            every = (
                {run.id for run in notebook.runs}
                if kind == "id"
                else {tag for run in notebook.runs for tag in run.tags}
            )
            known = sorted(one for one in every if one)
            raise NotebookError(
                f"{name}: no code cell has the {kind} {value!r}",
                hint=nearest_hint(value, known, f"name a cell by its index, or one of {', '.join(known[:_NAMED])}")
                if known
                else "name a cell by its index: --cell 0",
            )
        if len(matching) > 1:
            cells = ", ".join(str(index) for index in matching)
            raise NotebookError(f"{name}: the {kind} {value!r} is on several cells: {cells}", hint="choose by index")
        return [index for index in matching if index is not None]
    try:
        index = int(selector)
    except ValueError:
        raise NotebookError(
            f"{name}: {selector!r} does not choose a cell", hint="write a 0-based index, id:… or tag:…"
        ) from None
    notebook.run_at(index)
    return [index]


def _nothing_chosen(notebook: Notebook) -> NotebookError:
    """Return what is said of a notebook in which no cell says that it becomes an image."""
    name = notebook.name
    if not any(run.source.strip() for run in notebook.runs):
        return NotebookError(f"{name}: the notebook has no code", hint="write a cell, and save the notebook")
    for run in notebook.runs:
        if run.header is None and (found := _LATER_HEADER.search(run.source)):
            line = run.source.count("\n", 0, found.start()) + 1
            return NotebookError(
                f"{name}, cell {run.index}: %%containerize is on line {line}, and counts on the first alone",
                hint="split the cell above that line, or move what is above it below",
            )
    return NotebookError(
        f"{name}: no cell begins with %%containerize",
        hint="choose one with --cell INDEX, id:… or tag:…, or write %%containerize NAME as its first line",
    )


def runs_up_to(notebook: Notebook, index: int) -> list[CellRun]:
    """Return the code cells that came before the one with this index, and that one, last.

    Cells tagged ``buildr:skip`` and the bodies of other ``%%containerize`` cells are left out: they did not run in
    the notebook's own namespace.
    """
    target = notebook.run_at(index)
    before = [
        run
        for run in notebook.runs
        if run.index is not None and run.index < index and SKIP_TAG not in run.tags and run.ran_here
    ]
    return [*before, target]


def mark_stale(runs: Sequence[CellRun], saved: Notebook, ran_at: Mapping[str, float] | None = None) -> list[CellRun]:
    """Return ``runs`` with ``stale`` set where the newer saved file has other text for the cell, or none.

    Only runs whose id is known are judged; ``ran_at`` (cell id to seconds since the epoch) leaves out those that ran
    after the file was saved.
    """
    texts = {run.id: run.source for run in saved.runs if run.id}
    marked = []
    for run in runs:
        newer = ran_at is None or saved.modified_at is None or saved.modified_at >= ran_at.get(run.id or "", 0.0)
        if run.id is None or run.stale or not texts or not newer:
            marked.append(run)
        elif run.id not in texts:
            marked.append(replace(run, stale="deleted"))
        elif texts[run.id].strip() != run.source.strip():
            marked.append(replace(run, stale="edited"))
        else:
            marked.append(run)
    return marked


def with_tags(runs: Sequence[CellRun], saved: Notebook) -> list[CellRun]:
    """Return ``runs`` with the tags that their cells have in the saved file; only those whose id is known have any."""
    tags = {run.id: run.tags for run in saved.runs if run.id and run.tags}
    return [replace(run, tags=tags[run.id]) if run.id in tags else run for run in runs]
