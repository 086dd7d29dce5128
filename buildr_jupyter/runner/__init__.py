"""Runners: an image becomes a run."""

from buildr_jupyter.runner.protocol import Runner
from buildr_jupyter.runner.selection import RUNNERS, select

__all__ = ["RUNNERS", "Runner", "select"]
