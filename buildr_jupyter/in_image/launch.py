"""Start of a program on a cluster: a copy of its folder that it may write to, then the program itself in its place.

It is given to ``python -c`` with the program's folder in the image, the folder of the copy, and the command. Standard
library only, on any Python from 3.8.
"""

from __future__ import annotations

import os
import shutil
import sys

OUTPUT = "BUILDR_OUTPUT_DIR"


def moved(path, source, target):
    """Return the path in the copy of one that is in the folder ``source``, any other as it is."""
    if path == source or path.startswith(source.rstrip("/") + "/"):
        return target + path[len(source.rstrip("/")) :]
    return path


def main(arguments):
    """Copy the folder, go there, and become the command."""
    source, target, command = arguments[0], arguments[1], arguments[2:]
    if os.path.exists(target):  # the container was started again in its pod
        shutil.rmtree(target)
    shutil.copytree(source, target, symlinks=True)
    os.environ[OUTPUT] = moved(os.environ.get(OUTPUT) or source + "/output", source, target)
    os.makedirs(os.environ[OUTPUT], exist_ok=True)
    os.chdir(target)
    os.execvp(command[0], command)  # noqa: S606 - the image's own entrypoint


if __name__ == "__main__":
    main(sys.argv[1:])
