"""``@Containerize``: the seed's decorator. A decorated function, called outside an image, is built, pushed and run.

Inside an image that buildr made (``BUILDR_IN_CONTAINER``, set in the image, says so) the function is simply called.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from buildr_jupyter import builder, runner
from buildr_jupyter.config.options import Options, PackageOptions, RuntimeOptions, make_options, package_values
from buildr_jupyter.context.dockerfile import MARKER, render_dockerignore, render_script_dockerfile
from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.engine import connection as engine
from buildr_jupyter.errors import BuildrError, ContextError, OptionError
from buildr_jupyter.secretscan.redact import masked_logger

if TYPE_CHECKING:
    from buildr_jupyter.notebook.cells import CellRun
    from buildr_jupyter.pipeline.planner import CellSource, ScriptSource

__all__ = ["Containerize", "is_in_container", "write_dockerfile"]

logger = masked_logger(logging.getLogger(__name__))
F = TypeVar("F", bound=Callable[..., object])


def is_in_container(environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether this runs in an image that buildr made; hubs and devcontainers are containers, too."""
    return (os.environ if environ is None else environ).get("BUILDR_IN_CONTAINER", "").lower() in ("1", "true")


def write_dockerfile(package: PackageOptions, exec_file: str) -> Path:
    """Write ``./Dockerfile`` (and ``./.dockerignore`` where there is none) for a script here; return its path.

    Raises ContextError where a Dockerfile of the user's own is there.
    """
    path = Path("Dockerfile")
    if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(MARKER):
        raise ContextError(
            "./Dockerfile is not ours and is left as it is",
            hint="to build with it, say so: package={'dockerfile': 'Dockerfile', …}",
        )
    python = package.py_version or Interpreter.current().minor
    base = package.base or f"python:{python}-slim"
    text = render_script_dockerfile(base, exec_file, with_requirements=Path("requirements.txt").is_file())
    path.write_text(text, encoding="utf-8")
    ignore = Path(".dockerignore")
    if not ignore.exists():
        ignore.write_text(render_dockerignore(), encoding="utf-8")
    return path


class Containerize:
    """Decorator: ``@Containerize(package={'name': …, 'repository': …}, runtime={'ports': […]})``.

    ``package``, ``runtime``, ``builder`` and ``image`` are set when it decorates, so that an unknown option, builder or
    image name fails there. Every failure of the call is a plain exception.
    """

    def __init__(self, package: Mapping[str, object], runtime: Mapping[str, object] | None = None) -> None:
        self.package = PackageOptions.load(package)
        self.runtime = RuntimeOptions.load(runtime or {})
        self.builder = builder.select(self.package.builder)
        in_engine = runner.select(self.runtime.executor).capabilities().in_engine
        for name in ("replicas", "shardSpec"):
            if in_engine and getattr(self.runtime, name):
                logger.warning("runtime: %s has no effect: executor %r runs one container", name, self.runtime.executor)
        if (self.runtime.shardSpec or {}).get("shardExpression") and not in_engine:
            logger.warning("runtime: shardExpression has no effect: a request goes to the shard that it names")
        if not self.package.name and not self.package.repository:
            raise OptionError("package: neither name nor repository is given", hint="add 'name': 'myapp'")
        self._options = make_options(
            package_values(self.package, self.runtime, in_engine=in_engine), base_folder=Path.cwd()
        )
        self._options.check_publish(by_docker_rules=True)
        self.image = str(self._options.refs(Path.cwd().name.lower() or "app")[0])

    def __call__(self, func: F) -> F:
        """Return the function that builds and runs the image; ``__wrapped__`` is ``func``."""

        @functools.wraps(func)
        def containerized(*args: object, **kwargs: object) -> object:
            if is_in_container():
                return func(*args, **kwargs)
            if args or kwargs:
                raise OptionError(
                    f"{func.__name__}() is called with arguments, and an image's program takes none",
                    hint="let the function read what it needs from the environment or from files",
                )
            try:
                return self._build_and_run(func)
            except BuildrError as error:
                if not self.package.fallback_local:
                    raise
                logger.warning("Containerization failed, %s runs here instead: %s", func.__name__, error)
                return func()

        return containerized  # type: ignore[return-value]

    def _build_and_run(self, func: Callable[..., object]) -> object:
        from dataclasses import replace

        from buildr_jupyter.pipeline.driver import drive
        from buildr_jupyter.pipeline.job import ExportRequest
        from buildr_jupyter.ui.plain import QuietDisplay, TextDisplay

        if runner.select(self.runtime.executor).capabilities().in_engine:
            engine.connect().close()  # calling the function means running it: without an engine nothing is built
        options: Options = replace(self._options, run=True, name=self.image, repository=None, tags=())
        environ = dict(os.environ)
        source = _source_of(func)
        job = ExportRequest(
            source,
            options,
            Interpreter.current(),
            environ,
            builder=self.builder,
            executor=self.runtime.executor,
            by_docker_rules=True,
        )
        display = QuietDisplay() if self.package.quiet else TextDisplay(_write_progress, log=self.package.verbose)
        return drive(job, [display])


def _write_progress(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _source_of(func: Callable[..., object]) -> CellSource | ScriptSource:
    """Return where the program of a decorated function is: its script, or the notebook's cells and a call of it."""
    from buildr_jupyter.pipeline.planner import CellSource, ScriptSource

    path = inspect.getsourcefile(func)
    if func.__module__ == "__main__" and path and Path(path).is_file() and not _shell():
        return ScriptSource(Path(path).resolve(), Path(path).resolve().parent)
    shell = _shell()
    if shell is None:
        raise OptionError(
            f"{func.__name__} is defined in {func.__module__}, not in the script that was started",
            hint="decorate a function of the main script, or of a notebook's cell",
        )
    from buildr_jupyter.notebook.cells import CellRun
    from buildr_jupyter.notebook.kernel_history import KernelHistory

    held = getattr(shell, "_buildr_jupyter", None)
    history = held[1] if held else KernelHistory(shell)
    call = f"{func.__name__}()"
    runs = history.runs()
    target = CellRun(source=call, transformed=call)
    name = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    notebook = Path(str(name)).name if name else None
    return CellSource((*_without_call(runs, func.__name__), target), target, Path.cwd(), notebook, shell.user_ns)


def _without_call(runs: list[CellRun], name: str) -> list[CellRun]:
    """Leave the running cell out where all that it does is the call that is made anew."""
    if runs and runs[-1].source.strip() in (f"{name}()", f"result = {name}()"):
        return runs[:-1]
    return runs


class _Shell(Protocol):
    user_ns: dict[str, object]


def _shell() -> _Shell | None:
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    found: _Shell | None = get_ipython()
    return found
