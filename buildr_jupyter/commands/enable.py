"""Having the magic in every notebook: ``buildr enable`` and ``buildr disable``.

IPython runs the files of its startup folders before the first cell. One file of buildr there loads the extension; no
configuration of the user's is read, merged or changed, so a user's own ``extensions = […]`` stands as it was, and
taking the file away gives everything back.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from buildr_jupyter.errors import SettingError

__all__ = ["FILE_NAME", "STARTUP", "disable", "enable", "startup_folder"]

FILE_NAME = "50-buildr-jupyter.py"
STARTUP = """\
# Loads %%containerize in every notebook. Written by "buildr enable"; "buildr disable" takes it away.
try:
    get_ipython().extension_manager.load_extension("buildr_jupyter")
except ImportError:
    pass  # this environment has no buildr_jupyter
"""


def startup_folder(*, user: bool) -> Path:
    """Return IPython's startup folder: the user's default profile's, or the environment's."""
    if user:
        home = os.environ.get("IPYTHONDIR") or Path.home() / ".ipython"
        return Path(home) / "profile_default" / "startup"
    return Path(sys.prefix) / "etc" / "ipython" / "startup"


def enable(*, user: bool) -> Path:
    """Write the startup file and return its path; raises SettingError where another file has its name."""
    path = startup_folder(user=user) / FILE_NAME
    if path.exists() and path.read_text(encoding="utf-8") != STARTUP:
        raise SettingError(f"{path} is there already and is not ours", hint="move it away")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(STARTUP, encoding="utf-8")
    except OSError as error:
        raise SettingError(f"{path} cannot be written: {error.strerror}", hint="try buildr enable --user") from error
    return path


def disable(*, user: bool) -> Path | None:
    """Take the startup file away; return its path, None where there was none. A file that is not ours stays."""
    path = startup_folder(user=user) / FILE_NAME
    if not path.exists() or path.read_text(encoding="utf-8") != STARTUP:
        return None
    path.unlink()
    return path
