"""Mask of what must be in no log: what looks like a credential, and every password that was used, is ``****``.

It stands between everything that speaks and everything that listens: the loggers of this package
(``masked_logger``), the events of a build and the errors that end it (``masked_events``).
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import re
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import replace

from buildr_jupyter.events.event import Event, Finished, LogLine, RunOutput, RunUpdate
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.secretscan import search
from buildr_jupyter.secretscan.known_values import Known, forms, hidden, hidden_in_lines, open_end, open_lines

__all__ = ["MASK", "mask", "masked_events", "masked_logger", "remember"]

MASK = "****"
_MIN_VALUE = 6
_MAX_KNOWN = 8192
_MAYBE = re.compile(
    r"(?=[A-Za-z+/_=.~-]{0,64}[0-9])[A-Za-z0-9+/_=.~-]{20}|[A-Za-z0-9_-]{32}|@|(?i:auth|pass|pwd|token|secret|key|cookie)"
)
_URL = re.compile(r"(?<=://)[^/@\s\"']+@")
_HEADER = re.compile(
    r"(?i)((?:authorization|x-registry-auth|x-registry-config|cookie|set-cookie|x-api-key|private-token)[\"']?\s*[:=,]\s*[\"']?"
    r"(?:(?:basic|bearer|token|digest)\s+)?)[^\s\"',]+"
)
_NAMED = re.compile(
    r"(?i)(\b\w*(?:password|passwd|passphrase|secret|token|api_?key|access_?key|private_?key)[\"']?\s*[:=]\s*[\"']?)"
    r"(?![\s\"'&,;$<{]|sha256:)[^\s\"'&,;]{6,}"
)
_PEM_START, _PEM_END = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY"), re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY")

_known: dict[str, None] = {}
_lock = threading.Lock()


def remember(*secrets: str) -> None:
    """Mask these from now on, in all their forms; the short ones are left."""
    with _lock:
        for secret in secrets:
            if len(secret) >= _MIN_VALUE:
                _known.update(dict.fromkeys(one for one in forms(secret) if len(one) >= _MIN_VALUE))
        for oldest in list(_known)[: max(0, len(_known) - _MAX_KNOWN)]:
            del _known[oldest]


_sorted: dict[tuple[str, ...], tuple[Known, list[str]]] = {}
"""Values to their forms and what was remembered then, both sorted."""


def _all_forms(values: Iterable[str]) -> Known:
    """Return the forms of ``values`` and of what is remembered, the longest first."""
    wanted, remembered = tuple(values), list(_known)
    there = _sorted.get(wanted)
    if there is None or there[1] != remembered:
        forms_of = Known([*(one for value in wanted for one in _forms(value)), *remembered])
        if len(_sorted) > 16:
            _sorted.clear()
        there = _sorted[wanted] = forms_of, remembered
    return there[0]


@functools.lru_cache(maxsize=256)
def _forms(value: str) -> tuple[str, ...]:
    return tuple(one for one in forms(value) if len(one) >= min(_MIN_VALUE, len(value)))


def mask(text: str, values: Iterable[str] = ()) -> str:
    """Return ``text`` with credentials, ``values`` and what ``remember`` was told as ``****``, in all their forms."""
    return _mask(text, _all_forms(values))


def _mask(text: str, known: Known) -> str:
    text = hidden(text, known, MASK)
    if "\n" in text and known:
        text = "\n".join(hidden_in_lines(text.split("\n"), known, MASK))
    if not _MAYBE.search(text):
        return text
    text = _URL.sub(MASK + "@", text)
    text = _HEADER.sub(rf"\1{MASK}", text)
    text = _NAMED.sub(rf"\1{MASK}", text)
    content = text.encode(errors="surrogatepass")
    hits = sorted({(hit.start, hit.end) for hit in search.search(content)}, reverse=True)
    for start, end in hits:
        content = content[:start] + MASK.encode() + content[end:]
    return content.decode(errors="surrogatepass") if hits else text


class _Filter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        if (masked := mask(said)) != said:
            record.msg, record.args = masked, None
        if record.exc_info:
            told = record.exc_text or _FORMATTER.formatException(record.exc_info)
            if (masked := mask(told)) != told:  # the exception itself would say it to another handler
                record.exc_info, record.exc_text = None, masked
        elif record.exc_text:
            record.exc_text = mask(record.exc_text)
        if record.stack_info:
            record.stack_info = mask(record.stack_info)
        return True


_FORMATTER = logging.Formatter()
_FILTER = _Filter()


def masked_logger(logger: logging.Logger) -> logging.Logger:
    """Return the same logger, which from now on masks what it says; every logger of this package goes through here."""
    logger.addFilter(_FILTER)
    return logger


class _Masker:
    """Masks the events of one build, what is cut over several of them too.

    A private key is known by its first line and goes on until its last. A line, or a chunk of output, whose end may
    begin a value waits for what follows it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._values = tuple(value.decode(errors="replace") for value in search.secret_values(environ).values())
        self._in_key: set[str | None] = set()
        self._lines: list[LogLine] = []
        self._chunks: dict[str, str] = {}

    def text(self, text: str) -> str:
        return mask(text, self._values)

    def events(self, event: Event) -> Iterator[Event]:
        """Yield what may be shown now that this event came."""
        known = _all_forms(self._values)
        if isinstance(event, LogLine):
            if self._lines and self._lines[-1].step != event.step:
                yield from self._shown_lines()
            yield from self._with_line(event, known)
            return
        yield from self._shown_lines()
        if isinstance(event, RunOutput) and event.shown:
            if waited := self._chunks.pop(event.stream, ""):
                yield RunOutput(event.stream, self.text(waited))
            yield self._changed(event, text=self.text(event.text), shown=self._bundle(event.shown))
            return
        if isinstance(event, RunOutput):
            text = self._chunks.pop(event.stream, "") + event.text
            if open_length := open_end(text, known):
                text, self._chunks[event.stream] = text[:-open_length], text[-open_length:]
            if text:
                yield self._changed(event, text=self.text(text))
            return
        if isinstance(event, Finished):
            yield from self.rest()
        yield self.event(event)

    def _bundle(self, shown: str) -> str:
        """Return what an object looks like, its texts masked; a picture in base64 is no text."""
        found = json.loads(shown)
        return json.dumps({kind: self._data(data) for kind, data in found.items()})

    def _data(self, data: object) -> object:
        if isinstance(data, str):
            return self.text(data)
        if isinstance(data, list):
            return [self._data(one) for one in data]
        if isinstance(data, dict):
            return {name: self._data(one) for name, one in data.items()}
        return data

    def rest(self) -> Iterator[Event]:
        """Yield what waited."""
        yield from self._shown_lines()
        for stream in list(self._chunks):
            yield RunOutput(stream, self.text(self._chunks.pop(stream)))  # type: ignore[arg-type]

    def _with_line(self, line: LogLine, known: Known) -> Iterator[Event]:
        waiting = [*self._lines, replace(line, text=self._line(line))]
        if len(waiting) > 1:
            texts = hidden_in_lines([one.text for one in waiting], known, MASK)
            waiting = [self._changed_line(one, text) for one, text in zip(waiting, texts, strict=True)]
        keep = 0 if waiting[-1].text.endswith(MASK) else open_lines([one.text for one in waiting], known)
        self._lines = waiting[len(waiting) - keep :]
        yield from waiting[: len(waiting) - keep]

    def _shown_lines(self) -> Iterator[Event]:
        lines, self._lines = self._lines, []
        yield from lines

    def _changed_line(self, line: LogLine, text: str) -> LogLine:
        return line if line.text == text else replace(line, text=text)

    def event(self, event: Event) -> Event:
        """Return the event with its own texts masked."""
        match event:
            case StepUpdate():
                return self._changed(event, title=self.text(event.title))
            case BuildWarning():
                return self._changed(event, text=self.text(event.text), hint=event.hint and self.text(event.hint))
            case RunUpdate():
                tail = tuple(self.text(line) for line in event.log_tail)
                given = tuple((name, self.text(value)) for name, value in event.returned)
                return replace(
                    event, title=self.text(event.title), reason=self.text(event.reason), log_tail=tail, returned=given
                )
            case Finished():
                return Finished(self.result(event.result))
        return event

    def _line(self, line: LogLine) -> str:
        inside = line.step in self._in_key
        if _PEM_START.search(line.text):
            inside = True
            self._in_key.add(line.step)
        if _PEM_END.search(line.text):
            self._in_key.discard(line.step)
        return MASK if inside else self.text(line.text)

    def _changed(self, event: Event, **texts: str | None) -> Event:
        return event if all(getattr(event, name) == text for name, text in texts.items()) else replace(event, **texts)  # type: ignore[arg-type]

    def result(self, result: BuildResult) -> BuildResult:
        steps = tuple(self.event(step) for step in result.steps)
        warnings = tuple(self.event(warning) for warning in result.warnings)
        proof = result.proof
        if proof is not None:
            widened = tuple(self.text(one) for one in proof.widened)
            proof = replace(proof, why=self.text(proof.why), widened=widened)
        return replace(result, steps=steps, warnings=warnings, proof=proof)  # type: ignore[arg-type]

    def error(self, error: BaseException) -> None:
        """Mask what the error and those behind it say, in place."""
        seen: set[int] = set()
        todo: list[BaseException | None] = [error]
        while todo:
            found = todo.pop()
            if found is None or id(found) in seen:
                continue
            seen.add(id(found))
            found.args = tuple(self._said(said) for said in found.args)
            for name, said in list(vars(found).items()):
                if isinstance(said, BuildResult):
                    setattr(found, name, self.result(said))
                elif name != "__notes__":
                    self._set(found, name, said)
            for name in ("filename", "filename2", "strerror"):
                self._set(found, name, getattr(found, name, None))
            if notes := getattr(found, "__notes__", None):
                found.__notes__ = [self.text(str(note)) for note in notes]
            todo += [found.__cause__, found.__context__, *getattr(found, "exceptions", ())]

    def _said(self, said: object) -> object:
        """Return what an error says masked; of a thing that is no text, its text where that holds a credential."""
        if isinstance(said, str):
            return self.text(said)
        if said is None or isinstance(said, (int, float)):
            return said
        if isinstance(said, (tuple, list)) and type(said) in (tuple, list):  # no named tuple
            texts = [one for one in said if isinstance(one, str)]
            if said and len(texts) == len(said):
                return type(said)(mask("\n".join(texts), self._values).split("\n"))
            return type(said)(self._said(one) for one in said)
        try:
            text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        except Exception:  # noqa: BLE001 - a foreign __str__
            return said
        return said if (masked := self.text(text)) == text else masked.encode() if isinstance(said, bytes) else masked

    def _set(self, error: BaseException, name: str, said: object) -> None:
        if isinstance(said, (str, bytes, tuple, list)) and (masked := self._said(said)) != said:
            with contextlib.suppress(AttributeError, TypeError):
                setattr(error, name, masked)


def masked_events(
    events: Generator[Event, None, BuildResult], environ: Mapping[str, str]
) -> Generator[Event, None, BuildResult]:
    """Yield the events, return the result and raise the errors of ``events``, with ``****`` for every credential.

    The values of the variables of ``environ`` whose names look secret are masked, too.
    """
    masker = _Masker(environ)
    try:
        while True:
            yield from masker.events(next(events))
    except StopIteration as stop:
        result: BuildResult = stop.value
    except GeneratorExit:
        raise
    except BaseException as error:
        masker.error(error)
        yield from masker.rest()
        raise
    finally:
        events.close()
    yield from masker.rest()
    return masker.result(result)
