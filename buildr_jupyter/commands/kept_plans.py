"""Plans of context folders that are kept in the user's cache: what an image was made of, and why, by its content."""

from __future__ import annotations

import contextlib

from buildr_jupyter.errors import ContextError
from buildr_jupyter.model.plan import ImagePlan

__all__ = ["kept_plan"]


def kept_plan(content_digest: str | None) -> ImagePlan | None:
    """Return the plan of this content digest, None where no folder that is kept here has it.

    A folder holds the last build of its cell: what was built before, or on another machine, is not known.
    """
    from platformdirs import user_cache_path

    root = user_cache_path("buildr") / "contexts"
    if content_digest is None or not root.is_dir():
        return None
    for folder in sorted(root.iterdir()):
        with contextlib.suppress(ContextError, OSError):
            if (folder / "buildr.json").is_file():
                plan = ImagePlan.from_folder(folder)
                if plan.content_digest == content_digest:
                    return plan
    return None
