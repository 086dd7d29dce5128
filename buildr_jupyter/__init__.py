"""From a notebook cell to a container image.

``%load_ext buildr_jupyter`` gives a notebook the magic ``%%containerize``; ``Containerize`` is the same as a
decorator, and ``image("reg/me/train:1")`` an image as a function. Importing the package imports neither docker nor
ipywidgets.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as of typing, which takes as long to import as an interpreter does to start
if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__version__ = "0.1.0"
__all__ = [
    "Containerize",
    "__version__",
    "builder",
    "image",
    "load_ipython_extension",
    "unload_ipython_extension",
]


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Register ``%%containerize``; IPython calls this for ``%load_ext buildr_jupyter``."""
    from buildr_jupyter.magics import register

    register(ipython)


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """Take off all that ``load_ipython_extension`` put on."""
    from buildr_jupyter.magics import unregister

    unregister(ipython)


def __getattr__(name: str) -> object:
    if name == "Containerize":
        from buildr_jupyter.containerize import Containerize

        return Containerize
    if name == "builder":
        import importlib

        return importlib.import_module("buildr_jupyter.builder.selection")
    if name == "image":
        from buildr_jupyter.pipeline.image_function import image

        return image
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
