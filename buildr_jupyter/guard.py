"""What must not leave: credentials in the program, in files and in the settings of an image.

``check`` reads everything that a plan would put into an image, before anything is sent. A finding names the file, the
line and the kind, never the value.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from buildr_jupyter.errors import LeakError
from buildr_jupyter.model import ImagePlan

__all__ = ["Finding", "check", "iter_findings", "never_included"]

_NEVER = (
    ".env", ".env.*", ".git", ".aws", ".azure", ".gnupg", ".kube", ".ssh", ".docker", ".netrc", "_netrc", ".pypirc",
    ".pgpass", ".npmrc", ".ipynb_checkpoints", "__pycache__", "*.pyc", ".venv", ".pytest_cache", "*.egg-info",
    "*.pem", "*.key", "*.p12", "*.pfx", "*.keystore", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*",
    "cookies.txt", "Cookies", "credentials.json", "secrets.toml", "secrets.yaml", "secrets.yml",
)  # fmt: skip
_SECRET_NAME = re.compile(
    r"(?:TOKEN|SECRET|PASSW(?:OR)?D|APIKEY|API_KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIAL)", re.IGNORECASE
)
_SHAPES = (
    ("private key", re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")),
    ("AWS access key", re.compile(rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("GitHub token", re.compile(rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,})")),
    ("GitLab token", re.compile(rb"\bglpat-[A-Za-z0-9_-]{20}\b")),
    ("Slack token", re.compile(rb"\bxox[abposr]-[0-9A-Za-z-]{10,}")),
    ("Google API key", re.compile(rb"\bAIza[0-9A-Za-z_-]{35}\b")),
    ("PyPI token", re.compile(rb"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}")),
    ("Hugging Face token", re.compile(rb"\bhf_[A-Za-z0-9]{34}\b")),
    ("Stripe key", re.compile(rb"\b[sr]k_live_[0-9A-Za-z]{24,}\b")),
    ("login in a URL", re.compile(rb"\b[a-z][a-z0-9+.-]*://[^/\s:@\"'{}<>$]+:[^/\s:@\"'{}<>$]{4,}@[A-Za-z0-9]")),
)
_MAX_SCANNED_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that looks like a credential."""

    kind: str
    """``GitHub token``, ``value of $DB_PASSWORD`` …"""
    where: str
    """``app/main.py, line 12``, ``--env DB_PASSWORD``."""

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}"


def never_included(path: str) -> bool:
    """Tell whether a file never goes into an image by itself: keys, logins, version control, caches."""
    return any(fnmatch.fnmatchcase(part, pattern) for part in PurePosixPath(path).parts for pattern in _NEVER)


def iter_findings(plan: ImagePlan, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what looks like a credential in the plan's files and settings, in the order of the files."""
    values = {name: value.encode() for name, value in environ.items() if _SECRET_NAME.search(name) and len(value) >= 8}
    for entry in plan.all_files:
        if entry.size_bytes > _MAX_SCANNED_BYTES or entry.path.startswith("wheels/"):
            continue
        with entry.open() as stream:
            content = stream.read()
        for kind, at in _search(content, values):
            line = content.count(b"\n", 0, at) + 1
            yield Finding(kind, f"{entry.path}, line {line}")
    texts = [(f"--env {name}", value) for name, value in plan.environment]
    texts += [(f"label {name}", value) for name, value in plan.labels]
    if plan.dockerfile:
        texts.append(("Dockerfile", plan.dockerfile.text))
        texts += [(f"build argument {name}", value) for name, value in plan.dockerfile.build_args]
    for where, text in texts:
        for kind, _ in _search(text.encode(), values):
            yield Finding(kind, where)


def _search(content: bytes, values: Mapping[str, bytes]) -> Iterator[tuple[str, int]]:
    for kind, shape in _SHAPES:
        if match := shape.search(content):
            yield kind, match.start()
    for name, value in values.items():
        if (at := content.find(value)) >= 0:
            yield f"value of ${name}", at


def check(plan: ImagePlan, environ: Mapping[str, str], *, allow: Iterable[str] = ()) -> None:
    """Raise LeakError, naming every finding and no value, unless each is allowed by its kind or its place."""
    allowed = set(allow)
    findings = [
        f for f in iter_findings(plan, environ) if f.kind not in allowed and f.where.partition(",")[0] not in allowed
    ]
    if findings:
        shown = "; ".join(str(finding) for finding in findings[:5])
        more = f"; and {len(findings) - 5} more" if len(findings) > 5 else ""
        raise LeakError(
            f"credentials would go into the image: {shown}{more}",
            hint="read them at run time (--run-env NAME, --param NAME), or let one pass with "
            f"--allow-secret {findings[0].kind if ' ' not in findings[0].kind else repr(findings[0].kind)}",
        )
