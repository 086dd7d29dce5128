"""Start of a program on a cluster: a copy of its folder that it may write to, then the program itself in its place.

It is given to ``python -c`` with the program's folder in the image, the folder of the copy, and the command. Standard
library only, on any Python from 3.8; nothing is imported but what is part of the interpreter, since each pod of a sweep
begins with it.

While the program runs it holds a lock (flock(2)) on the file ``COPY.lock``: the kernel takes that away however the
program ends, and the collector in another container of the pod sees it.
"""

from __future__ import annotations

import os
import sys

OUTPUT, LOCK = "BUILDR_OUTPUT_DIR", ".lock"
INPUTS, INDEX, PARAMS = "BUILDR_GRID_INPUTS", "JOB_COMPLETION_INDEX", "BUILDR_PARAMS"
"""Where the inputs of a grid's points are, which point this is, and what the program reads.

The inputs are files of lines, one for each point; a file is named by the number of its first.
"""

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


def copy(source, target):
    """Copy a folder with what is below it: contents, modes, times and symbolic links."""
    os.mkdir(target)
    with os.scandir(source) as entries:
        for entry in entries:
            here, there = entry.path, os.path.join(target, entry.name)
            if entry.is_symlink():
                os.symlink(os.readlink(here), there)
            elif entry.is_dir():
                copy(here, there)
            elif entry.is_file():
                with open(here, "rb") as read, open(there, "wb") as written:
                    while True:
                        data = read.read(1 << 20)
                        if not data:
                            break
                        written.write(data)
                keep_about(here, there)
            else:
                raise OSError(here + " is no file")
    keep_about(source, target)


def keep_about(source, target):
    """Give a copy the mode and the times of what it is of."""
    about = os.stat(source)
    os.chmod(target, about.st_mode & 0o7777)
    os.utime(target, ns=(about.st_atime_ns, about.st_mtime_ns))


def inputs_of(folder, index):
    """Return the inputs of a point of a grid."""
    first = max(int(name) for name in os.listdir(folder) if name.isdigit() and int(name) <= index)
    with open(os.path.join(folder, str(first)), encoding="utf-8", newline="\n") as stream:
        for number, line in enumerate(stream, first):
            if number == index:
                return line.rstrip("\n")
    raise OSError("{} has no inputs of point {}".format(folder, index))


def main(arguments):
    """Copy the folder, go there, and become the command."""
    source, target, command = arguments[0], arguments[1], arguments[2:]
    hold(target + LOCK)
    if os.path.exists(target):  # the container was started again in its pod
        import shutil

        shutil.rmtree(target)
    copy(source, target)
    os.environ[OUTPUT] = moved(os.environ.get(OUTPUT) or source + "/output", source, target)
    os.makedirs(os.environ[OUTPUT], exist_ok=True)
    if INPUTS in os.environ:
        os.environ[PARAMS] = inputs_of(os.environ.pop(INPUTS), int(os.environ[INDEX]))
    os.chdir(target)
    os.execvp(command[0], command)  # noqa: S606 - the image's own entrypoint


if __name__ == "__main__":
    main(sys.argv[1:])
