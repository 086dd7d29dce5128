"""Sender: the files that a run left, as a tar on standard output, for who fetches them from the pod while it waits.

It is given to ``python -c`` with the path of a list that the collector wrote: ``[[PATH, PLACE], …]`` as JSON, the
paths as the program knows them. The list is locked (flock(2)) while it is at work. When all of it was sent, standard
error has the line ``buildr-sent BYTES SHA256`` of the tar. Standard library only, on any Python from 3.8.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile

SENT = "buildr-sent"


class Counted:
    """A stream that is written to, and what went through it."""

    def __init__(self, sink):
        self.sink, self.size, self.digest = sink, 0, hashlib.sha256()

    def write(self, data):
        """Write the data."""
        self.sink.write(data)
        self.size += len(data)
        self.digest.update(data)
        return len(data)


def main(path):
    """Send the files of the list."""
    import fcntl  # POSIX alone, and this module is read on any machine

    with open(path, encoding="utf-8") as listed:
        fcntl.flock(listed, fcntl.LOCK_EX)
        out = Counted(sys.stdout.buffer)
        with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
            for shown, place in json.load(listed):
                tar.add(place, arcname=shown.lstrip("/"), recursive=False)
        sys.stdout.buffer.flush()
        sys.stderr.write("{} {} {}\n".format(SENT, out.size, out.digest.hexdigest()))


if __name__ == "__main__":
    main(sys.argv[1])
