"""Never in a log: what looks like a credential, and every password that was used, is ``****`` in what we say.

It stands between everything that speaks and everything that listens: the loggers of this package
(``masked_logger``), the events of a build and the errors that end it (``masked_events``).
"""

from __future__ import annotations

import base64
import logging
import re
import threading
from collections.abc import Generator, Iterable, Mapping
from dataclasses import replace

from buildr_jupyter import leaks
from buildr_jupyter.errors import BuildrError
from buildr_jupyter.events import Event, Finished, LogLine, RunOutput, StepUpdate, Warned
from buildr_jupyter.model import BuildResult

__all__ = ["MASK", "mask", "masked_events", "masked_logger", "remember"]

MASK = "****"
_MIN_VALUE = 6
_MAX_KNOWN = 1024
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
    """Mask these from now on, also in base64, whoever says them; the short ones are not worth it."""
    with _lock:
        for secret in secrets:
            if len(secret) >= _MIN_VALUE:
                _known[secret] = None
                _known[base64.b64encode(secret.encode()).decode()] = None
        for oldest in list(_known)[: max(0, len(_known) - _MAX_KNOWN)]:
            del _known[oldest]


def mask(text: str, values: Iterable[str] = ()) -> str:
    """Return ``text`` with credentials, ``values`` and what ``remember`` was told as ``****``."""
    for value in sorted({*values, *_known}, key=len, reverse=True):
        if value in text:
            # A password that is a word is masked as a word only: "secret" must not make "--****" of an option.
            text = re.sub(rf"(?<![\w-]){value}(?![\w-])", MASK, text) if value.isalpha() else text.replace(value, MASK)
    if not _MAYBE.search(text):
        return text
    text = _URL.sub(MASK + "@", text)
    text = _HEADER.sub(rf"\1{MASK}", text)
    text = _NAMED.sub(rf"\1{MASK}", text)
    content = text.encode(errors="surrogatepass")
    hits = sorted({(hit.start, hit.end) for hit in leaks.search(content)}, reverse=True)
    for start, end in hits:
        content = content[:start] + MASK.encode() + content[end:]
    return content.decode(errors="surrogatepass") if hits else text


class _Filter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        if (masked := mask(said)) != said:
            record.msg, record.args = masked, None
        return True


_FILTER = _Filter()


def masked_logger(logger: logging.Logger) -> logging.Logger:
    """Return the same logger, which from now on masks what it says; every logger of this package goes through here."""
    logger.addFilter(_FILTER)
    return logger


class _Masker:
    """Masks the events of one build: a private key is known by its first line and goes on until its last."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._values = [value.decode(errors="replace") for value in leaks.secret_values(environ).values()]
        self._in_key: set[str | None] = set()

    def text(self, text: str) -> str:
        return mask(text, self._values)

    def event(self, event: Event) -> Event:
        match event:
            case LogLine():
                return self._changed(event, text=self._line(event))
            case RunOutput():
                return self._changed(event, text=self.text(event.text))
            case StepUpdate():
                return self._changed(event, title=self.text(event.title))
            case Warned():
                return self._changed(event, text=self.text(event.text), hint=event.hint and self.text(event.hint))
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
        return replace(result, steps=steps, warnings=warnings)  # type: ignore[arg-type]

    def error(self, error: BaseException) -> None:
        """Mask what the error and those behind it say, in place."""
        seen: set[int] = set()
        found: BaseException | None = error
        while found is not None and id(found) not in seen:
            seen.add(id(found))
            found.args = tuple(self.text(said) if isinstance(said, str) else said for said in found.args)
            if isinstance(found, BuildrError):
                found.hint = found.hint and self.text(found.hint)
                if isinstance(found.result, BuildResult):
                    found.result = self.result(found.result)
            for name in ("step", "log_tail"):
                said = getattr(found, name, None)
                if isinstance(said, str):
                    setattr(found, name, self.text(said))
                elif isinstance(said, tuple):
                    setattr(found, name, tuple(self.text(line) for line in said))
            found = found.__cause__ or found.__context__


def masked_events(
    events: Generator[Event, None, BuildResult], environ: Mapping[str, str]
) -> Generator[Event, None, BuildResult]:
    """Yield the events, return the result and raise the errors of ``events``, with ``****`` for every credential.

    The values of the variables of ``environ`` whose names look secret are masked, too.
    """
    masker = _Masker(environ)
    try:
        while True:
            yield masker.event(next(events))
    except StopIteration as stop:
        result: BuildResult = stop.value
    except BaseException as error:
        masker.error(error)
        raise
    finally:
        events.close()
    return masker.result(result)
