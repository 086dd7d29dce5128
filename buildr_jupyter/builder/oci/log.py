"""What a build without an engine says in the log: the same words as the engine's builder."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Generator
from dataclasses import replace

from buildr_jupyter.errors import BuildError
from buildr_jupyter.events.event import Event, LogLine
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.model.result import BuildResult

__all__ = ["logged"]


def logged(stream: Generator[Event, None, BuildResult], logger: logging.Logger) -> Generator[Event, None, BuildResult]:
    """Pass a build's events on, its lines numbered from 0; steps and lines are logged as ``Build output: …`` (DEBUG).

    A failure is logged as ``Build failed: …`` (ERROR) and raised.
    """
    numbers = itertools.count()
    try:
        while True:
            event = next(stream)
            if isinstance(event, LogLine):
                event = replace(event, seq=next(numbers))
                logger.debug("Build output: %s", event.text.rstrip())
            elif isinstance(event, StepUpdate) and event.status in ("running", "cached"):
                logger.debug("Build output: %s", event.title)
            yield event
    except StopIteration as end:
        result: BuildResult = end.value
        return result
    except BuildError as error:
        logger.error("Build failed: %s", error)
        raise
    finally:
        stream.close()
