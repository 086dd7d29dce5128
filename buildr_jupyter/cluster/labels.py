"""Labels of what buildr makes in a cluster: whose it is and what it belongs to, so that it is found again by them."""

from __future__ import annotations

import hashlib
import re

__all__ = ["GROUP", "KEPT_S", "MANAGED", "OWNER", "job_selector", "owner_of", "safe_label", "slug"]

MANAGED = "app.kubernetes.io/managed-by"
OWNER, GROUP = "io.buildr.owner", "io.buildr.group"
"""Labels; the annotations of the same names have the full values."""
KEPT_S = 7 * 86400
"""How long a Job that ended is kept where nobody collects its outputs."""
_LABEL = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_HEX = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


def slug(text: str, most: int) -> str:
    """Return a text as a DNS label of at most ``most`` characters: lower case, digits and hyphens."""
    found = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:most].strip("-")
    return found or "run"


def safe_label(text: str) -> str:
    """Return a text as a label's value: the first 12 digits of a digest, what is a value as it is, else a hash."""
    if found := _HEX.fullmatch(text):
        return found[1][:12]
    return text if _LABEL.fullmatch(text) else hashlib.sha256(text.encode()).hexdigest()[:12]


def owner_of(user: str) -> str:
    """Return what labels say of an owner: the first 12 digits of the hash."""
    return hashlib.sha256(user.encode()).hexdigest()[:12]


def job_selector(job: str) -> str:
    """Return what selects the pods of a Job."""
    return f"batch.kubernetes.io/job-name={job}"
