"""Image as a function: called with inputs it runs once, mapped over rows it runs once for each.

The interface is what the image's label ``io.buildr.interface`` says; values are read as after ``--run``.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from buildr_jupyter.builder.docker_builder import DockerBuilder
from buildr_jupyter.config.options import Options
from buildr_jupyter.engine.client import EngineClient
from buildr_jupyter.engine.connection import connect, translate
from buildr_jupyter.errors import OptionError, RunError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, RunOutput
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.events.streams import drain
from buildr_jupyter.in_image import parameters as reader
from buildr_jupyter.model.capabilities import BaseRequest
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.interface import INTERFACE_LABEL, Input, Interface
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.model.sweep import SweepResult
from buildr_jupyter.pipeline import stages, sweeps
from buildr_jupyter.pipeline.driver import drive_events
from buildr_jupyter.pipeline.job import BuildOrder
from buildr_jupyter.runner.grid import make_grid

__all__ = ["ImageFunction", "image"]

_LIMIT = 10_000


def image(reference: str, *, trust_image: str | None = None) -> ImageFunction:
    """Return a callable with the signature of an image's interface; the engine gets the image where it has it not.

    ``reference`` is a name as ``docker run`` takes it. A pickle among the values runs code when it is read: it is read
    where a kernel of yours built the image, or where ``trust_image`` is its id. Raises OptionError for an image that
    has no interface, BuildError where there is no such image, EngineError.
    """
    client = connect()
    name = str(ImageRef.parse(reference).tagged())
    drain(_builder(client).resolve_base(BaseRequest(name), CancelToken()))
    known = _inspect(client, name)
    label = ((known.get("Config") or {}).get("Labels") or {}).get(INTERFACE_LABEL)
    if not isinstance(label, str):
        raise OptionError(
            f"{name} says nothing of what it takes and gives back: it has no label {INTERFACE_LABEL}",
            hint="build it with --param NAME or --return NAME, or run it with docker run",
        )
    try:
        trusted = (trust_image,) if trust_image else ()
        return ImageFunction(name, str(known["Id"]), Interface.from_label(label), client, trusted=trusted)
    except ValueError as error:  # a name of it may be a keyword of Python: the image may be anybody's
        raise OptionError(f"{name}: its label {INTERFACE_LABEL} cannot be read: {error}") from error


class ImageFunction:
    """An image that is called as a function; ``__signature__`` and ``__doc__`` are made from its interface."""

    def __init__(
        self,
        name: str,
        image_id: str,
        interface: Interface,
        client: EngineClient,
        *,
        trusted: tuple[str, ...] = (),
    ) -> None:
        self.name, self.image_id, self.interface = name, image_id, interface
        self._client, self._trusted = client, trusted
        self.__name__ = ImageRef.parse(name).path.rpartition("/")[2].replace("-", "_")
        self.__doc__ = _described(name, interface)
        self.__signature__ = _signature(interface)

    def __call__(self, *args: object, **inputs: object) -> dict[str, object]:
        """Run the image once with these inputs and return its values by name; what it prints is printed as it comes.

        What a warning names stays a file. Raises TypeError for arguments that are not of the signature, OptionError
        for a value that is none of its input, RunError where the program ends with another status than 0, ReturnError
        for values that are not as they should be, EngineError, and KeyboardInterrupt once the container was stopped.
        """
        self._check_unmoved()
        rows = sweeps.said_rows([self.__signature__.bind(*args, **inputs).arguments], self._origin)
        (point,) = make_grid(self.interface, rows, (), zipped=False, limit=1, folder=Path.cwd(), origin=self._origin)
        order = self._order(run_environment=((reader.ALL, json.dumps(dict(point.given))),), mounts=point.mounts)
        run = self._driven(lambda cancel: stages.stream_run(order, self._built(), cancel)).run
        return dict(run.values) if run is not None else {}

    def map(
        self, rows: Sequence[Mapping[str, object]] | Any, *, jobs: int = 2, retries: int = 0, again: bool = False
    ) -> SweepResult:
        """Run the image once for each row of inputs, ``jobs`` at a time, and return the results in their order.

        ``rows`` is a list of dicts, or a DataFrame with a column for each input.

        A row that was done before is not run again, unless ``again``. A run that fails is a result; ``retries`` tries
        it so often once more. Raises OptionError for rows that are none, before any run starts; EngineError.
        """
        self._check_unmoved()
        said = tuple(sweeps.said_rows(rows, f"{self._origin}map: "))
        if not said:
            raise OptionError(f"{self.name}: the grid has no runs: there are no rows")
        order = self._order(rows=said, jobs=jobs, retries=retries, again=again)
        found = self._driven(lambda cancel: stages.stream_run(order, self._built(), cancel)).sweep
        assert isinstance(found, SweepResult)
        return replace(found, again=lambda: self.map(rows, jobs=jobs, retries=retries))

    def __repr__(self) -> str:
        return f"<image {self.name}{self.__signature__}>"

    # -- what it is made of

    @property
    def _origin(self) -> str:
        return f"{self.name}: "

    def _order(self, **options: Any) -> BuildOrder:
        return BuildOrder(
            options=Options(map_limit=_LIMIT, trust_images=self._trusted, **options),
            refs=(ImageRef.parse(self.name),),
            context=Path.cwd(),
            folder=Path.cwd(),
            origin=self._origin,
            environ={},
            builder=_builder(self._client),
            namespace=vars(sys.modules["__main__"]),  # a pickle may need the classes of the notebook that runs
        )

    def _built(self) -> BuildResult:
        return BuildResult(image=self.name, image_id=self.image_id, interface=self.interface.to_label())

    def _driven(self, work: Callable[[CancelToken], Generator[Event, None, BuildResult]]) -> BuildResult:
        cancel = CancelToken()
        return drive_events(work(cancel), (ImageRef.parse(self.name),), [_Printed()], cancel=cancel)

    def _check_unmoved(self) -> None:
        if (found := str(_inspect(self._client, self.name)["Id"])) != self.image_id:
            raise RunError(
                f"{self.name} is another image now: {found}, and this function was made from {self.image_id}",
                hint=f"take the new one: buildr_jupyter.image({self.name!r})",
            )


class _Printed:
    """Prints what a run prints, and warnings, as a function that runs here would."""

    def open(self, state: BuildState, title: str) -> None:
        pass

    def draw(self, state: BuildState, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, RunOutput):
                stream = sys.stdout if event.stream == "stdout" else sys.stderr
                stream.write(event.text)
                stream.flush()
            elif isinstance(event, BuildWarning):
                sys.stderr.write(event.text + (f": {event.hint}" if event.hint else "") + "\n")

    def close(self, state: BuildState) -> None:
        pass


def _builder(client: EngineClient) -> DockerBuilder:
    builder = DockerBuilder()
    builder.docker_client = client
    return builder


def _inspect(client: EngineClient, name: str) -> JsonObject:
    from docker.errors import ImageNotFound

    try:
        with translate(client):
            return client.inspect_image(name)
    except ImageNotFound:
        raise RunError(
            f"the engine has no image {name} any more", hint=f"build it, or pull it: docker pull {name}"
        ) from None


def _signature(interface: Interface) -> inspect.Signature:
    """Return the inputs as parameters that go by name or by place, the required ones first."""
    ordered = sorted(interface.inputs, key=lambda one: not one.required)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature(
        [inspect.Parameter(one.name, kind, default=_default(one), annotation=_annotation(one)) for one in ordered]
    )


def _default(one: Input) -> object:
    return inspect.Parameter.empty if one.required else one.default


class _Shown(str):
    """A type's name, shown in a signature without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _annotation(one: Input) -> object:
    if one.choices:
        return _Shown("Literal[" + ", ".join(map(repr, one.choices)) + "]")
    return _Shown(one.type)


def _described(name: str, interface: Interface) -> str:
    lines = [f"Run {name} and return its values.", ""]
    lines += [
        f"{one.name}: {one.type}" + (f" -- {one.description}" if one.description else "") for one in interface.inputs
    ]
    returned = ", ".join(one.name for one in interface.returns) or "nothing"
    return "\n".join([*lines, f"Returns: {returned}"])
