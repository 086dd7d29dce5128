"""Start of a program on a cluster: a copy of its folder that it may write to, then the program itself in its place.

It is given to ``python -c`` with the program's folder in the image, the folder of the copy, and the command. Standard
library only, on any Python from 3.8.

While the program runs it holds a lock (flock(2)) on the file ``COPY.lock``: the kernel takes that away however the
program ends, and the collector in another container of the pod sees it.
"""

from __future__ import annotations

import os
import shutil
import sys

OUTPUT, LOCK = "BUILDR_OUTPUT_DIR", ".lock"
INPUTS, INDEX, PARAMS = "BUILDR_GRID_INPUTS", "JOB_COMPLETION_INDEX", "BUILDR_PARAMS"
"""Where the inputs of a grid's points are, a file for each; which point this is; what the program reads."""

_DESCRIPTOR = 200
"""The lock's number is above this one: programs take the low ones for their own."""


def moved(path, source, target):
    """Return the path in the copy of one that is in the folder ``source``, any other as it is."""
    if path == source or path.startswith(source.rstrip("/") + "/"):
        return target + path[len(source.rstrip("/")) :]
    return path


def hold(path):
    """Lock a file as long as this process is there, whatever it becomes; nobody sees the file before it is locked."""
    import fcntl  # POSIX alone, and this module is read on any machine

    half = path + ".half"
    low = os.open(half, os.O_RDWR | os.O_CREAT, 0o666)
    fcntl.flock(low, fcntl.LOCK_EX)
    try:
        fcntl.fcntl(low, fcntl.F_DUPFD, _DESCRIPTOR)
        os.close(low)
    except OSError:  # so few descriptors are allowed
        os.set_inheritable(low, True)
    os.replace(half, path)


def main(arguments):
    """Copy the folder, go there, and become the command."""
    source, target, command = arguments[0], arguments[1], arguments[2:]
    hold(target + LOCK)
    if os.path.exists(target):  # the container was started again in its pod
        shutil.rmtree(target)
    shutil.copytree(source, target, symlinks=True)
    os.environ[OUTPUT] = moved(os.environ.get(OUTPUT) or source + "/output", source, target)
    os.makedirs(os.environ[OUTPUT], exist_ok=True)
    if INPUTS in os.environ:
        with open(os.path.join(os.environ.pop(INPUTS), os.environ[INDEX]), encoding="utf-8") as stream:
            os.environ[PARAMS] = stream.read()
    os.chdir(target)
    os.execvp(command[0], command)  # noqa: S606 - the image's own entrypoint


if __name__ == "__main__":
    main(sys.argv[1:])
