"""Collector: the files of an output folder as lines of a container's log, for a cluster without shared storage.

It is given to ``python -c`` with the folder, and runs after the program, in a container of its own. With the path of a
file beside it, it runs beside the program, and first waits for that file or for SIGTERM. Standard library only, on any
Python from 3.8. A frame is

    buildr-output 1
    SHA256-AND-SIZE-OF-WHAT-WAS-LEFT-OUT as one line of JSON
    lines of base64: a tar with the folder's name in front of each file
    buildr-output end BYTES SHA256

where BYTES and SHA256 are the tar's. Over the limit only ``.buildr`` is in it, what the program returns; over the limit
by that alone, nothing is. It ends with status 0 whatever it finds, so that the run's end is the program's.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import signal
import sys
import tarfile

LIMIT = 4 << 20
BEGIN, END = "buildr-output 1", "buildr-output end"
OWN = ".buildr"
_LINE = 9000  # of bytes in a line: the base64 of it is below the 16 KiB at which a node cuts lines


def find(folder):
    """Return the regular files below a folder, sorted, as (name, bytes); links are named apart."""
    files, others = [], []
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in names:
            path = os.path.join(place, name)
            shown = os.path.relpath(path, folder)
            if os.path.isfile(path) and not os.path.islink(path):
                files.append((shown, os.path.getsize(path)))
            else:
                others.append(shown)
    return sorted(files), sorted(others)


def choose(files, limit=LIMIT):
    """Return the files that fit: all, else those that the program returns, else none; and what was left out."""
    own = [(name, size) for name, size in files if name.split("/")[0] == OWN]
    for chosen in (files, own):
        if sum(1024 + size for name, size in chosen) <= limit:
            return chosen, [entry for entry in files if entry not in chosen]
    return [], files


def pack(folder, files):
    """Return a tar of the files, each below ``output/``."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, _ in files:
            tar.add(os.path.join(folder, name), arcname="output/" + name, recursive=False)
    return packed.getvalue()


def write(folder, out, limit=LIMIT):
    """Write the frame."""
    files, others = find(folder)
    chosen, left = choose(files, limit)
    packed = pack(folder, chosen)
    about = {
        "left_out": [name for name, _ in left][:100],
        "left_out_bytes": sum(size for _, size in left),
        "others": others[:100],
        "limit": limit,
    }
    out.write(BEGIN + "\n" + json.dumps(about) + "\n")
    for place in range(0, len(packed), _LINE):
        out.write(base64.b64encode(packed[place : place + _LINE]).decode("ascii") + "\n")
    out.write("{} {} {}\n".format(END, len(packed), hashlib.sha256(packed).hexdigest()))
    out.flush()


def wait(path):
    """Wait until SIGTERM comes, or the file is there."""
    term = {signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, term)
    while not os.path.exists(path) and signal.sigtimedwait(term, 0.2) is None:
        pass


if __name__ == "__main__":
    try:
        if len(sys.argv) > 2:
            wait(sys.argv[2])
        write(sys.argv[1], sys.stdout)
    except Exception as error:  # noqa: BLE001 - said, and the status of the run stays the program's
        sys.stdout.write("buildr-output failed {!r}\n".format(error))
