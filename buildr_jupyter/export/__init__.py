"""Export: a slice becomes a program with its parameters, snapshots and files."""
