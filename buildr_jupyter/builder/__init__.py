"""Builders: a context folder becomes an image."""

from buildr_jupyter.builder.protocol import Builder, SeedMethods, drain
from buildr_jupyter.builder.selection import BUILDERS, names, select

__all__ = ["BUILDERS", "Builder", "SeedMethods", "drain", "names", "select"]
