"""Names of files and folders that hold logins, keys or histories of commands, whatever stands in them.

The names are those that the programs themselves use by default, and the ones that gitleaks, git-secrets and
pre-commit look for. A pattern of several parts means a file in such a folder; what matches a folder means all in it.
"""

from __future__ import annotations

import fnmatch
from pathlib import PurePosixPath

__all__ = ["keeps_logins", "matches"]

_KEEPS_LOGINS = (
    # the environment, the shell and what was typed there
    ".env", ".env.*", ".envrc", "*_history", ".*_history", ".lesshst", ".viminfo", "history.sqlite",
    # logins for hosts
    ".netrc", "_netrc", ".git-credentials", ".config/git/credentials", ".config/gh", ".config/hub", ".config/glab-cli",
    ".pypirc", ".npmrc", ".yarnrc.yml", ".cargo/credentials*", ".gem/credentials", ".m2/settings*.xml",
    ".composer/auth.json", ".docker", ".dockercfg", "containers/auth.json", ".kube", "*.kubeconfig", ".htpasswd",
    ".htdigest", ".rhosts", ".smbcredentials", ".s3cfg", ".boto", ".fetchmailrc", ".msmtprc", ".config/rclone",
    "rclone.conf",
    # clouds and services
    ".aws", ".azure", ".config/gcloud", ".oci", ".kaggle", ".config/kaggle", ".databrickscfg", ".snowsql",
    ".snowflake", ".vault-token", ".terraformrc", ".terraform.d", "*.tfstate", "*.tfstate.*", ".config/doctl",
    ".huggingface/token", "huggingface/token", ".modal.toml", ".dbt/profiles.yml",
    "application_default_credentials.json",
    # databases
    ".pgpass", "pgpass.conf", ".pg_service.conf", ".my.cnf", ".mylogin.cnf", ".mongorc.js", ".dbshell",
    # keys and stores of keys
    ".ssh", ".gnupg", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_*_sk", "*.p12", "*.pfx", "*.pkcs12", "*.jks",
    "*.keystore", "*.ppk", "*.kdb", "*.kdbx", "*.keychain", "*.keychain-db", "*.ovpn", "secring.*",
    # browsers
    "cookies.txt", "Cookies", "cookies.sqlite", "Login Data", "logins.json", "key3.db", "key4.db", "signons.sqlite",
)  # fmt: skip


def keeps_logins(path: str) -> bool:
    """Tell whether a file holds logins whatever it says; ``path`` is relative, with ``/``."""
    return matches(path, _KEEPS_LOGINS)


def matches(path: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether the path, or a folder that it is in, has a name like one of the patterns; capitals count for none.

    A pattern with a capital in it wants it.
    """
    parts = PurePosixPath(path).parts
    return any(
        all(_like(part, wanted) for part, wanted in zip(parts[at:], pattern.split("/"), strict=False))
        for pattern in patterns
        for at in range(len(parts) - pattern.count("/"))
    )


def _like(part: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(part, pattern) or fnmatch.fnmatchcase(part.lower(), pattern)
