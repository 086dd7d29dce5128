"""Notebook: files and live kernels become runs of cells."""

from buildr_jupyter.notebook.cells import CellRun, Notebook, parse_notebook, read_notebook

__all__ = ["CellRun", "Notebook", "parse_notebook", "read_notebook"]
