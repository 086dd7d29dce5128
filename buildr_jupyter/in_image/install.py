"""Runs inside the image's package stage: makes a virtual environment and installs requirements.txt into it.

The index settings of the machine that builds (addresses, logins, certificates) arrive in FTP_PROXY as ``buildr:`` and
base64 of deflated JSON: every builder knows that variable as a proxy setting, passes it to RUN, and keeps it out of
layers, labels, history and cache keys, which it does with no other name. A builder that has secrets hands the same text
over as one. Where a builder lends a folder for pip's downloads, they stay there for the next build.

A base says to pip where packages come from, in variables and in files; that counts. What it says of where they go
(PIP_USER, PIP_TARGET, a prefix, without dependencies) does not: they would not be in the environment that is copied
into the image. In the end the program's interpreter is asked, with the base's own variables, whether it finds them.
"""

import ast
import base64
import glob
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
OPTIONS = (
    "index-url", "extra-index-url", "no-index", "find-links", "trusted-host", "proxy", "cert", "client-cert", "timeout",
    "default-timeout", "retries", "keyring-provider", "only-binary", "no-binary", "prefer-binary",
)  # fmt: skip
"""Options of pip that say where packages come from: those of a base that count."""
FOUND = """
import importlib.metadata, json, sys, sysconfig
own = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
found = {}
for one in importlib.metadata.distributions(**({"path": own} if sys.argv[1:] else {})):
    name = one.metadata["Name"]
    if name:
        found.setdefault(name.lower().replace("_", "-"), one.version)
print(json.dumps(found))
"""
"""What an interpreter finds: name to version, the first on its path counts; with an argument, its own folder alone."""


class Failed(Exception):
    """The base cannot take packages; the arguments are why, and what to do."""


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


def plain(environment):
    """Return an environment without what steers Python and pip."""
    steering = ("PIP_", "PYTHON", "VIRTUAL_ENV", "__PYVENV")
    kept = {name: value for name, value in environment.items() if not name.upper().startswith(steering)}
    return dict(kept, PYTHONNOUSERSITE="1", PIP_CONFIG_FILE=os.devnull)


def find_pip(python, environment):
    """Return the words that run pip for ``python``: the base's own, or the one that its Python was shipped with."""
    if succeeds([python, "-m", "pip", "--version"], environment):
        return [python, "-m", "pip"]
    code = "import ensurepip, os; print(os.path.dirname(ensurepip.__file__))"
    told = subprocess.run(
        [python, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    )
    folder = told.stdout.decode().strip()
    for wheel in sorted(glob.glob(os.path.join(folder, "_bundled", "pip-*.whl"))) if folder else ():
        if succeeds([python, wheel + "/pip", "--version"], environment):
            return [python, wheel + "/pip"]
    version = "{}.{}".format(*sys.version_info[:2])
    raise Failed("has no pip", f"take one with pip, or --base python:{version}-slim")


def succeeds(command, environment):
    """Tell whether a command ends well; its output is dropped."""
    done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return done.returncode == 0


def base_options(pip, environment):
    """Return the base's own options of pip that count, as variables; ``environment`` is the base's."""
    asked = dict(environment)
    for name in ("PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE"):
        asked.pop(name, None)
    told = subprocess.run(
        [*pip, "config", "list"], env=asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    )
    found = {}
    for section in ("global.", "install.", ":env:."):
        for line in told.stdout.decode("utf-8", "replace").splitlines() if told.returncode == 0 else ():
            name, _, value = line.partition("=")
            option = name[len(section) :].lower().replace("_", "-")
            if name.startswith(section) and option in OPTIONS:
                found["PIP_" + option.upper().replace("-", "_")] = " ".join(str(ast.literal_eval(value)).split())
    return found


def write_certificates(extra, folder, pip, environment):
    """Write pip's certificates and the extra ones into one file and return its path."""
    code = "import pip._vendor.certifi as c; print(c.contents())"
    command = [pip[0], "-c", code]
    if pip[1:2] != ["-m"]:
        environment = dict(environment, PYTHONPATH=os.path.dirname(pip[1]))
    told = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    path = os.path.join(folder, "certificates.pem")
    with open(path, "w", encoding="utf-8") as sink:
        sink.write((told.stdout.decode("utf-8", "replace") if told.returncode == 0 else "") + "\n" + extra)
    return path


def check(python, clean, base):
    """Fail where the interpreter does not find with the base's variables what was installed without them."""
    wanted = packages([python, "-c", FOUND, "own"], clean)
    found = packages([python, "-c", FOUND], dict(base, HOME="/nonexistent"))
    lost = sorted(name for name, version in wanted.items() if found.get(name) != version)
    if lost:
        steering = sorted(name for name in base if name.upper().startswith("PYTHON")) or ["its configuration"]
        raise Failed(
            "does not let its Python find {} ({})".format(", ".join(lost[:5]), ", ".join(steering)),
            "take one that leaves Python's variables alone",
        )


def packages(command, environment):
    """Return what an interpreter says of packages, nothing where it does not run."""
    told = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return json.loads(told.stdout.decode()) if told.returncode == 0 else {}


def install(target):
    """Make the environment and return pip's exit status."""
    base = dict(os.environ)
    settings = read_settings(base)
    clean = plain(base)
    if not succeeds([sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", target], clean):
        raise Failed(
            "cannot make a virtual environment: its Python has no module venv", "take one with it (python3-venv)"
        )
    python = os.path.join(target, "bin", "python")
    pip = find_pip(python, clean)
    environment = dict(clean, **base_options(pip, base))
    environment.update(settings.get("environment", {}))
    environment.update({"PIP_CACHE_DIR": CACHE} if os.path.isdir(CACHE) else {"PIP_NO_CACHE_DIR": "1"})
    environment.update(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_ROOT_USER_ACTION="ignore", PIP_CONFIG_FILE=os.devnull)
    command = [*pip, "install", "--no-input", "-r", "requirements.txt"]
    if os.path.isdir("wheels"):
        command += ["--find-links", "wheels"]
    with tempfile.TemporaryDirectory() as folder:
        if settings.get("certificates"):
            environment["PIP_CERT"] = write_certificates(settings["certificates"], folder, pip, clean)
        status = subprocess.run(command, env=environment, check=False).returncode
    if status == 0:
        check(python, clean, base)
    return status


def main(target, base="the base"):
    """Install, and say in one line why that cannot be done; return the exit status."""
    try:
        return install(target)
    except Failed as error:
        sys.stderr.write("buildr: base {} {}: {}\n".format(base, *error.args))
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
