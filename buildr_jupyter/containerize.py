"""``@Containerize``: the seed's decorator. A decorated function, called outside an image, is built, pushed and run.

Inside an image that buildr made (``BUILDR_IN_CONTAINER``, set in the image, says so) the function is simply called.
"""

from __future__ import annotations

import ast
import functools
import inspect
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from buildr_jupyter import builder, runner
from buildr_jupyter.config.options import Options, PackageOptions, RuntimeOptions, make_options, package_values
from buildr_jupyter.context.dockerfile import MARKER, render_dockerignore, render_script_dockerfile
from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.engine import connection as engine
from buildr_jupyter.errors import BuildrError, ContextError, OptionError
from buildr_jupyter.in_image.function import MODULE as PROGRAM
from buildr_jupyter.secretscan.redact import masked_logger

if TYPE_CHECKING:
    from buildr_jupyter.export.function_inputs import FunctionInputs
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
            hint="say so to build with it: package={'dockerfile': 'Dockerfile', …}",
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
                program = sys.modules.get(PROGRAM)  # there, the image's inputs are the function's
                return program.wrap(func)(*args, **kwargs) if program else func(*args, **kwargs)
            try:
                return self._build_and_run(func, args, kwargs)
            except BuildrError as error:
                if not self.package.fallback_local:
                    raise
                logger.warning("Containerization failed, %s runs here instead: %s", func.__name__, error)
                return func(*args, **kwargs)

        return containerized  # type: ignore[return-value]

    def _build_and_run(
        self, func: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> object:
        from dataclasses import replace

        from buildr_jupyter.export.function_inputs import gives_value, read_function
        from buildr_jupyter.pipeline.driver import drive
        from buildr_jupyter.pipeline.job import ExportRequest
        from buildr_jupyter.ui.plain import QuietDisplay, TextDisplay

        function = read_function(func, args, kwargs)
        if runner.select(self.runtime.executor).capabilities().in_engine:
            engine.connect().close()  # calling the function means running it: without an engine nothing is built
        options: Options = replace(self._options, run=True, name=self.image, repository=None, tags=())
        if gives_value(func) and options.standing is None:
            options = replace(options, returns=tuple(dict.fromkeys((*options.returns, "_"))))
        if missing := [one.name for one in function.inputs if one.required]:
            names = " and ".join(missing)
            logger.warning(
                "%s() needs %s: its image is built, and not run; run it with buildr run %s -- %s",
                func.__name__, names, self.image, " ".join(f"{one.option} …" for one in function.inputs if one.required)
            )  # fmt: skip
            options = replace(options, run=False)
        environ = dict(os.environ)
        source = _source_of(func, function if function.inputs or options.returns else None)
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


def _source_of(func: Callable[..., object], function: FunctionInputs | None) -> CellSource | ScriptSource:
    """Return where the program of a decorated function is: its script, or the notebook's cells and a call of it."""
    from buildr_jupyter.pipeline.planner import CellSource, ScriptSource

    path = inspect.getsourcefile(func)
    if func.__module__ == "__main__" and path and Path(path).is_file() and not _shell():
        return ScriptSource(Path(path).resolve(), Path(path).resolve().parent, function)
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
    runs = (*_without_call(runs, func.__name__), target)
    return CellSource(runs, target, Path.cwd(), notebook, shell.user_ns, function=function)


def _without_call(runs: Sequence[CellRun], name: str) -> Sequence[CellRun]:
    """Leave the running cell out where all that it does is the call that is made anew."""
    return runs[:-1] if runs and _is_call(runs[-1].transformed or "", name) else runs


def _is_call(text: str, name: str) -> bool:
    """Tell whether all that a text does is a call of a name, or one name's assignment from that."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return False
    if len(body) != 1 or not isinstance(body[0], (ast.Expr, ast.Assign)):
        return False
    value = body[0].value
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == name


class _Shell(Protocol):
    user_ns: dict[str, object]


def _shell() -> _Shell | None:
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    found: _Shell | None = get_ipython()
    return found
