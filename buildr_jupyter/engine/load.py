"""An archive brought into the engine that runs images."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable
from dataclasses import replace
from pathlib import Path

from buildr_jupyter.engine.client import OpenEngine
from buildr_jupyter.engine.connection import translate
from buildr_jupyter.errors import BuildError
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.progress import StepUpdate

__all__ = ["load"]


def load(
    path: Path, open_engine: OpenEngine, image_id: str = "", refs: Iterable[ImageRef] = ()
) -> Generator[Event, None, None]:
    """Load a ``docker save`` archive into the engine; its image gets the names ``refs``, too.

    Raises EngineError where none answers, BuildError where it does not take the image.
    """
    with contextlib.closing(open_engine()) as client, translate(client):
        step = StepUpdate("load", "load into the engine")
        yield step
        with path.open("rb") as stream:
            for event in client.load_image(stream):
                if isinstance(event, dict) and ("error" in event or "errorDetail" in event):
                    raise BuildError(f"Image build failed: the engine does not take it: {event.get('error')}")
        for ref in refs:
            client.tag(image_id, ref.name, tag=ref.local_tag)
        yield replace(step, status="done")
