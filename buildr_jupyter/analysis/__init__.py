"""Analysis: statements of cells with their effects, and the backward slice that a cell needs."""
