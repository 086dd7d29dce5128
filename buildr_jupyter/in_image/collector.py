"""Collector: the files that a program made as lines of a container's log, for a cluster without shared storage.

It is given to ``python -c`` with a plan as JSON, and runs after the program, in a container of its own of the same
image. With the path of a file beside the plan, it runs beside the program, and first waits until that file is there
and nobody has it locked any more. Standard library only, on any Python from 3.8. The plan:

    places    [[SHOWN, PLACE], …]: folders as the program knows them, and where they are in this container
    image     where this container has the image's own files of the first place; null where that is no copy
    folders   [WORK, PROGRAM, OUTPUT] as shown: what the program may write below, where it works, its output folder
    patterns  regular expressions of the paths that come back; empty for all
    nothing   true where none do, but what our own code wrote
    anywhere  true where files beside WORK and OUTPUT come back, too
    held      null, or the path of a list that is written where not all files fit: they are kept for who fetches them
    registry  null, or [BASE, REPOSITORY, SOURCE]: where the files are pushed to, by the Python text that does it; the
              login is in the variable BUILDR_OUTPUT_LOGIN, the pod's name in BUILDR_POD

A frame is

    buildr-output 2
    WHAT-WAS-LEFT-OUT, and the folders, as one line of JSON
    lines of base64: a tar of the files, by their paths as the program knows them
    buildr-output end BYTES SHA256

where BYTES and SHA256 are the tar's. Files that were pushed are not in it, and the line of JSON has the digest of their
artifact. What the program returns, in ``.buildr``, comes first, all of it or nothing; then each file that still fits
below the limit. Files that are kept are kept until the file ``LIST.taken`` is there or the pod is ended: as long as
the list is locked, and a minute at most while it is not. It ends with status 0 whatever it finds, so that
the run's end is the program's.

Each pod of a sweep starts one, and most of its time is the start of Python: a module is imported where it is first
needed, and until the program has ended only such as are part of the interpreter.
"""

from __future__ import annotations

import os
import stat
import sys
import time

LIMIT = 4 << 20
BEGIN, END = "buildr-output 2", "buildr-output end"
OWN = ".buildr"
TAKEN = ".taken"
BEGIN_S, GRACE_S, IDLE_S, MOST_S = 120.0, 3.0, 60.0, 3600.0
NOTHING = b"\0" * 1024
"""Tar of no files."""
NOTHING_SHA256 = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
_LINE = 9000  # of bytes in a line: the base64 of it is below the 16 KiB at which a node cuts lines


def below(path, folder):
    """Tell whether a path is below a folder."""
    return path.startswith(folder.rstrip("/") + "/")


def wanted(path, plan):
    """Tell whether the file that the program knows by this path comes back."""
    work, _, output = plan["folders"]
    if below(path, output + "/" + OWN):
        return True
    if plan["nothing"]:
        return False
    own = (below(path, output) or below(path, work)) and "__pycache__" not in path.split("/")
    if not own and not plan["anywhere"]:
        return False
    if not plan["patterns"]:
        return True
    import re

    return any(re.fullmatch(one, path, re.DOTALL) for one in plan["patterns"])


def unchanged(first, second):
    """Tell whether a file of the program's folder is the one of the image: its copy has kept its time and size."""
    try:
        one, other = os.lstat(first), os.lstat(second)
    except OSError:
        return False
    if stat.S_IFMT(one.st_mode) != stat.S_IFMT(other.st_mode):
        return False
    if stat.S_ISLNK(one.st_mode):
        return os.readlink(first) == os.readlink(second)
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def find(plan):
    """Return the files that come back, sorted, as (path, place, bytes); what is no regular file is named apart."""
    files, others = {}, set()
    for number, (shown, root) in enumerate(plan["places"]):
        for place, folders, names in os.walk(root):
            folders.sort()
            linked = [name for name in folders if os.path.islink(os.path.join(place, name))]
            for name in names + linked:
                here = os.path.join(place, name)
                inside = os.path.relpath(here, root)
                path = shown.rstrip("/") + "/" + inside
                if path in files or not wanted(path, plan):
                    continue
                if number == 0 and plan["image"] and unchanged(here, os.path.join(plan["image"], inside)):
                    continue
                if os.path.isfile(here) and not os.path.islink(here):
                    files[path] = (path, here, os.path.getsize(here))
                else:
                    others.add(path)
    return sorted(files.values()), sorted(others)


def choose(files, plan, limit=LIMIT):
    """Return the files that fit, those first that the program returns; and what was left out."""
    own = [one for one in files if below(one[0], plan["folders"][2] + "/" + OWN)]
    taken = set()
    room = limit - sum(1024 + size for _, _, size in own)
    if room >= 0:
        taken.update(own)
        for one in files:
            if one not in taken and 1024 + one[2] <= room:
                taken.add(one)
                room -= 1024 + one[2]
    return sorted(taken), [one for one in files if one not in taken]


def pack(files):
    """Return a tar of the files, and its SHA256."""
    if not files:
        return NOTHING, NOTHING_SHA256
    import hashlib
    import io
    import tarfile

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, place, _ in files:
            tar.add(place, arcname=path.lstrip("/"), recursive=False)
    return packed.getvalue(), hashlib.sha256(packed.getvalue()).hexdigest()


def push(registry, files):
    """Push the files to the registry, and return the digest of the artifact that they are."""
    import json

    base, repository, source = registry
    known = {"__name__": "upload"}
    exec(compile(source, "upload", "exec"), known)  # noqa: S102 - our own text, which the plan brings
    login = json.loads(os.environ.get("BUILDR_OUTPUT_LOGIN") or "{}")
    return known["push"](base, repository, login, "run-" + os.environ["BUILDR_POD"], files)  # type: ignore[operator]


def write(plan, out, limit=LIMIT, seen=True):
    """Write the frame; return the path of the list of files that are kept, None for none.

    ``seen`` tells whether the program was seen to end before.
    """
    import binascii
    import json

    files, others = find(plan)
    artifact, why = None, ""
    if plan.get("registry") and files:
        try:
            artifact = push(plan["registry"], files)
        except Exception as error:  # noqa: BLE001 - said, and what fits comes by the log
            why = "{}: {}".format(type(error).__name__, error)[:500]
    chosen, left = ([], []) if artifact else choose(files, plan, limit)
    held = plan.get("held") if left else None
    if held:
        with open(held, "w", encoding="utf-8") as listed:
            json.dump([(path, place) for path, place, _ in files], listed)
    packed, digest = pack(chosen)
    about = {
        "artifact": artifact,
        "not_pushed": why,
        "folders": plan["folders"],
        "left_out": [path for path, _, _ in left][:100],
        "left_out_count": len(left),
        "left_out_bytes": sum(size for _, _, size in left),
        "others": others[:100],
        "limit": limit,
        "seen": seen,
        "held": bool(held),
    }
    out.write(BEGIN + "\n" + json.dumps(about) + "\n")
    for place in range(0, len(packed), _LINE):
        out.write(binascii.b2a_base64(packed[place : place + _LINE]).decode("ascii"))
    out.write("{} {} {}\n".format(END, len(packed), digest))
    out.flush()
    return held


def wait(path, begin_s=BEGIN_S, grace_s=GRACE_S):
    """Wait until the program that locks the file has ended, and tell whether it was seen to.

    It may never begin, and is given up after ``begin_s``. Who ends the pod tells both of them at once, and gives them a
    few seconds: the program has ``grace_s`` of them.
    """
    import _signal  # type: ignore[import-not-found]  # what ``signal`` wraps, without the import of ``enum``
    import _thread  # this needs no more of ``threading``

    freed = _signal.SIGUSR1
    told = {_signal.SIGTERM, freed}
    _signal.pthread_sigmask(_signal.SIG_BLOCK, told)
    begins, ends, pause, waiting = time.monotonic() + begin_s, float("inf"), 0.02, False
    while time.monotonic() < min(begins, ends):
        if not waiting and os.path.exists(path):
            waiting, begins, pause = True, float("inf"), 3600.0
            _thread.start_new_thread(tell_free, (path, freed))
        left = min(begins, ends) - time.monotonic()
        heard = _signal.sigtimedwait(told, max(0.0, min(left, pause)))
        if heard is not None and heard.si_signo == freed:
            return True
        if heard is not None:
            ends = min(ends, time.monotonic() + grace_s)
        pause = pause if waiting else min(0.2, 1.5 * pause)
    return os.path.exists(path) and is_free(path)


def tell_free(path, number):
    """Send this process a signal once nobody has the file locked."""
    import fcntl  # POSIX alone, and this module is read on any machine

    with open(path, "rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
    os.kill(os.getpid(), number)


def keep(path, idle_s=IDLE_S, most_s=MOST_S):
    """Wait until the files of the list were taken, nobody comes for them, or the pod is ended."""
    import signal

    term = {signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, term)
    last = time.monotonic() + most_s
    idle = time.monotonic() + idle_s
    while time.monotonic() < last and not os.path.exists(path + TAKEN):
        if not is_free(path):
            idle = time.monotonic() + idle_s
        elif time.monotonic() > idle:
            return
        if signal.sigtimedwait(term, 0.2) is not None:
            return


def is_free(path):
    """Tell whether nobody has the file locked."""
    import fcntl  # POSIX alone, and this module is read on any machine

    with open(path, "rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


if __name__ == "__main__":
    try:
        seen = len(sys.argv) < 3 or wait(sys.argv[2])
        import json

        kept = write(json.loads(sys.argv[1]), sys.stdout, seen=seen)
        if kept:
            keep(kept)
    except Exception as error:  # noqa: BLE001 - said, and the status of the run stays the program's
        sys.stdout.write("buildr-output failed {!r}\n".format(error))
