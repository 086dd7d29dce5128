"""Runs inside the image's package stage: makes a virtual environment and installs requirements.txt into it.

The index settings of the machine that builds (addresses, logins, certificates) arrive in FTP_PROXY as ``buildr:`` and
base64 of deflated JSON: every builder knows that variable as a proxy setting, passes it to RUN, and keeps it out of
layers, labels, history and cache keys, which it does with no other name. A builder that has secrets hands the same text
over as one. Without either pip's own settings are used. Where a builder lends a folder for pip's downloads, they stay
there for the next build.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import zlib

VARIABLE = "FTP_PROXY"
PREFIX = "buildr:"
SECRET = "/run/secrets/buildr-index"  # noqa: S105 - where it is
CACHE = "/var/cache/buildr/pip"


def read_settings(environment, secret=SECRET):
    """Take the settings out of the secret or the environment; return {} where there are none."""
    if os.path.isfile(secret):
        with open(secret, encoding="utf-8") as source:
            environment[VARIABLE] = source.read()
    for name in (VARIABLE, VARIABLE.lower()):
        value = environment.get(name, "")
        if value.startswith(PREFIX):
            environment.pop(VARIABLE, None)
            environment.pop(VARIABLE.lower(), None)
            return json.loads(zlib.decompress(base64.b64decode(value[len(PREFIX) :])))
    return {}


def write_certificates(extra, folder):
    """Write pip's certificates and the extra ones into one file and return its path."""
    import pip._vendor.certifi as certifi

    path = os.path.join(folder, "certificates.pem")
    with open(certifi.where(), encoding="utf-8") as known, open(path, "w", encoding="utf-8") as sink:
        sink.write(known.read() + "\n" + extra)
    return path


def main(target):
    environment = dict(os.environ)
    settings = read_settings(environment)
    environment.update(settings.get("environment", {}))
    kept = {"PIP_CACHE_DIR": CACHE} if os.path.isdir(CACHE) else {"PIP_NO_CACHE_DIR": "1"}
    environment.update(kept, PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_ROOT_USER_ACTION="ignore")
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", target], check=True)
    command = [os.path.join(target, "bin", "python"), "-m", "pip", "install", "--no-input", "-r", "requirements.txt"]
    if os.path.isdir("wheels"):
        command += ["--find-links", "wheels"]
    with tempfile.TemporaryDirectory() as folder:
        if settings.get("certificates"):
            environment["PIP_CERT"] = write_certificates(settings["certificates"], folder)
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
