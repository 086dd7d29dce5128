"""matplotlib: what its functions, and the methods of its axes, do with the data that they draw."""

from __future__ import annotations

from buildr_jupyter.analysis.libraries.names import words

__all__ = [
    "DRAWING",
    "FILE_READERS",
    "FILE_WRITERS",
    "FILE_WRITER_METHODS",
    "IMPORTS_THAT_CHANGE",
    "MUTATING_FUNCTIONS",
]

DRAWING = words(
    "axhline axhspan axvline axvspan bar barh boxplot contour contourf errorbar fill fill_between fill_betweenx "
    "hexbin hist hist2d hlines imshow loglog matshow pcolormesh pie plot scatter semilogx semilogy set_title "
    "set_xlabel set_xlim set_ylabel set_ylim stem step suptitle text title violinplot vlines xlabel xlim ylabel ylim"
)
"""Functions of matplotlib.pyplot, and methods of its axes, that neither change nor keep the data that they draw."""

MUTATING_FUNCTIONS = {
    f"matplotlib.pyplot.{name}": (0,) for name in ("setp", "sca", "figure", "colorbar", "close")
}  # fmt: skip
"""Dotted function to the positions of the arguments that it changes."""

FILE_READERS = {"matplotlib.pyplot.imread": 0, "matplotlib.image.imread": 0}
FILE_WRITERS = {"matplotlib.pyplot.imsave": 0, "matplotlib.pyplot.savefig": 0}
FILE_WRITER_METHODS = words("savefig")
IMPORTS_THAT_CHANGE = {"mpl_toolkits": "matplotlib"}
