"""Runs inside the image's package stage: makes a virtual environment and installs requirements.txt into it.

The index settings of the machine that builds (addresses, logins, certificates) arrive in FTP_PROXY as ``buildr:`` and
base64 of deflated JSON: every builder knows that variable as a proxy setting, passes it to RUN, and keeps it out of
layers, labels, history and cache keys, which it does with no other name. A builder that has secrets hands the same text
over as one. Where a builder lends a folder for downloads, they stay there for the next build, and uv installs: a wheel
of it from the same index, kept in that folder. pip does it where nothing is lent, where the base has packages of its
own (they count as installed for pip, not for uv), where an option of pip's has none of uv's beside it, and where uv
cannot: so each base and index takes what pip takes, and a failure is in pip's words.

A base says to pip where packages come from, in variables and in files; that counts. What it says of where they go
(PIP_USER, PIP_TARGET, a prefix, without dependencies) does not: they would not be in the environment that is copied
into the image. In the end the program's interpreter is asked, with the base's own variables, whether it finds them.
"""

import ast
import base64
import glob
import hashlib
import html
import http.client
import io
import json
import os
import platform
import re
import ssl
import subprocess
import sys
import sysconfig
import tempfile
import urllib.request
import zipfile
import zlib
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

OLDEST_UV = (0, 5, 0)
PYPI = "https://pypi.org/simple"
ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.1, */*;q=0.01"
VARIABLE = "FTP_PROXY"
PREFIX = "buildr:"
SECRET = "/run/secrets/buildr-index"  # noqa: S105 - where it is
CACHE = "/var/cache/buildr/pip"
OPTIONS = (
    "index-url", "extra-index-url", "no-index", "find-links", "trusted-host", "proxy", "cert", "client-cert", "timeout",
    "default-timeout", "retries", "keyring-provider", "only-binary", "no-binary", "prefer-binary",
)  # fmt: skip
"""Options of pip that say where packages come from: those of a base that count."""
AS_UV = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL": "UV_INDEX", "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_TRUSTED_HOST": "UV_INSECURE_HOST", "PIP_CERT": "SSL_CERT_FILE", "PIP_TIMEOUT": "UV_HTTP_TIMEOUT",
    "PIP_DEFAULT_TIMEOUT": "UV_HTTP_TIMEOUT", "PIP_RETRIES": "UV_HTTP_RETRIES",
}  # fmt: skip
"""Variables of pip that uv has under another name."""
ADDRESSES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS")
OURS = ("PIP_NO_INDEX", "PIP_CACHE_DIR", "PIP_CONFIG_FILE", "PIP_DISABLE_PIP_VERSION_CHECK", "PIP_ROOT_USER_ACTION")
"""Variables of pip that are said to uv in another way, or need not be."""
LOGIN = re.compile(r"(?<=://)[^/@\s]+@")
INSTALLERS = {"pip", "setuptools", "wheel", "uv"}
TESTS = r"(^|/)(tests?|testing/tests|idle_test)/"
"""Modules that get no bytecode: nothing imports them at a start."""
COMPILE = """
import py_compile, sys, warnings
warnings.simplefilter("ignore")
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for path in filter(None, sys.stdin.buffer.read().decode("utf-8", "surrogateescape").split("\\0")):
    try:
        py_compile.compile(path, doraise=True, invalidation_mode=mode)
    except (py_compile.PyCompileError, ValueError, RecursionError):
        pass  # a package's templates and traps
"""
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
    """Return an environment without what steers Python, pip and uv."""
    steering = ("PIP_", "UV_", "PYTHON", "VIRTUAL_ENV", "__PYVENV")
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
    """Tell whether a command is there and ends well; its output is dropped."""
    quiet = subprocess.DEVNULL
    try:
        return subprocess.run(command, env=environment, stdout=quiet, stderr=quiet, check=False).returncode == 0
    except OSError:
        return False


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


def wanted():
    """Return the arguments that say to either installer what is wanted."""
    return ["-r", "requirements.txt", *(["--find-links", "wheels"] if os.path.isdir("wheels") else [])]


def make_environment(target, environment):
    """Make an empty virtual environment, also where one is, and return its interpreter."""
    command = [sys.executable, "-m", "venv", "--clear", "--system-site-packages", "--without-pip", target]
    if not succeeds(command, environment):
        raise Failed(
            "cannot make a virtual environment: its Python has no module venv", "take one with it (python3-venv)"
        )
    return os.path.join(target, "bin", "python")


def pip_environment(pip, base, settings, folder):
    """Return pip's environment: the base's options that count, before them the settings of who builds."""
    clean = plain(base)
    environment = dict(clean, **(base_options(pip, base) if has_settings(base) else {}))
    environment.update(settings.get("environment", {}))
    environment.update({"PIP_CACHE_DIR": CACHE} if os.path.isdir(CACHE) else {"PIP_NO_CACHE_DIR": "1"})
    environment.update(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_ROOT_USER_ACTION="ignore", PIP_CONFIG_FILE=os.devnull)
    if settings.get("certificates"):
        environment["PIP_CERT"] = write_certificates(settings["certificates"], folder, pip, clean)
    return environment


def has_settings(base):
    """Tell whether the base says anything to pip, in variables or in a file that pip reads."""
    if any(name.upper().startswith("PIP_") for name in base):
        return True
    home = base.get("HOME") or os.path.expanduser("~")
    shared = (base.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    own = base.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    files = [os.path.join(folder, "pip", "pip.conf") for folder in [*shared, own]]
    files += [os.path.join(home, ".pip", "pip.conf"), os.path.join(sys.prefix, "pip.conf"), "/etc/pip.conf"]
    return any(map(os.path.exists, files))


def uv_settings(environment):
    """Return pip's environment as uv's environment and arguments, None where uv has nothing for an option.

    An address that pip would not take, http: of a host that nobody trusts, is left to pip as well.
    """
    said = {name: value for name, value in environment.items() if name.upper().startswith("PIP_")}
    trusted = said.get("PIP_TRUSTED_HOST", "").split()
    addresses = " ".join(said.get(name, "") for name in ADDRESSES).split()
    if not set(said) <= {*AS_UV, *OURS} or not all(is_safe(address, trusted) for address in addresses):
        return None
    found = {name: value for name, value in environment.items() if name not in said}
    for name in AS_UV:
        if name in said:
            found[AS_UV[name]] = said[name]
    if "PIP_FIND_LINKS" in said:
        found["UV_FIND_LINKS"] = ",".join(said["PIP_FIND_LINKS"].split())
    if "REQUESTS_CA_BUNDLE" in environment:
        found.setdefault("SSL_CERT_FILE", environment["REQUESTS_CA_BUNDLE"])
    found.update(UV_CACHE_DIR=os.path.join(CACHE, "uv"), UV_LINK_MODE="copy", UV_PYTHON_DOWNLOADS="never")
    found.update(UV_NO_PROGRESS="1", UV_NO_CONFIG="1", NO_COLOR="1")
    alone = said.get("PIP_NO_INDEX", "").lower() in ("1", "true", "yes", "on")
    return found, (["--no-index"] if alone else [])


def is_safe(address, trusted):
    """Tell whether pip takes packages from an address: not by plain http, but from this machine or a trusted host."""
    try:
        parts = urlsplit(address)
    except ValueError:  # no address: pip says so
        return False
    host = parts.hostname or ""
    if parts.scheme != "http" or host in ("localhost", "::1") or host.startswith("127."):
        return True
    return host in trusted or parts.netloc.rpartition("@")[2] in trusted


def find_uv(environment):
    """Return the uv of the lent folder, fetched there from the index where it is not; None where none runs.

    One of another index, processor or C library is another file.
    """
    indexes = [environment.get("PIP_INDEX_URL") or PYPI, *environment.get("PIP_EXTRA_INDEX_URL", "").split()]
    places = [LOGIN.sub("", index) for index in indexes]
    kind = repr([places, sysconfig.get_platform(), sysconfig.get_config_var("SOABI")])
    program = os.path.join(CACHE, "uv-" + hashlib.sha256(kind.encode()).hexdigest()[:16])
    if succeeds([program, "--version"], environment):
        return program
    for index in indexes if not environment.get("PIP_NO_INDEX") else ():
        try:
            content = fetch_uv(index, environment.get("PIP_CERT"))
        except (OSError, ValueError, LookupError, http.client.HTTPException, zipfile.BadZipFile):
            continue
        with tempfile.NamedTemporaryFile(dir=CACHE, delete=False) as sink:
            sink.write(content)
        os.chmod(sink.name, 0o700)
        os.replace(sink.name, program)
        return program if succeeds([program, "--version"], environment) else None
    return None


def fetch_uv(index, certificates):
    """Return the program of the newest uv that an index has for this machine, checked against the index's sha256.

    Raises OSError where the index cannot be asked, ValueError for a wrong digest, LookupError where it has none.
    """
    address = "{}/uv/".format(index.rstrip("/"))
    page, kind, address = get(address, index, certificates)
    fitting = []
    for name, location, digest in page_files(page, kind):
        found = re.match(r"uv-(\d+)\.(\d+)\.(\d+)-py3-none-([\w.]+)\.whl$", name)
        if found and digest and runs_here(found.group(4)):
            fitting.append((tuple(map(int, found.groups()[:3])), location, digest))
    version, location, digest = max(fitting, default=((), "", ""))
    if version < OLDEST_UV:
        raise LookupError("no uv")
    wheel, _, _ = get(urljoin(address, location), index, certificates)
    if hashlib.sha256(wheel).hexdigest() != digest:
        raise ValueError("not the content that the index names")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith(".data/scripts/uv")))


def get(address, index, certificates):
    """Return content, type and final address; the index's login goes to its own host, and by a redirect to no other.

    Raises OSError, and ValueError for what is no address of the web, or led from https: to another kind.
    """
    own, parts = urlsplit(index), urlsplit(address)
    place = parts.netloc.rpartition("@")[2]
    if parts.scheme not in ("http", "https"):
        raise ValueError("no address of the web")
    bare = urlunsplit(parts._replace(netloc=place))
    request = urllib.request.Request(bare, headers={"Accept": ACCEPT})  # noqa: S310 - looked at above
    if own.username and (own.scheme, own.netloc.rpartition("@")[2]) == (parts.scheme, place):
        login = "{}:{}".format(unquote(own.username), unquote(own.password or ""))
        words = "Basic " + base64.b64encode(login.encode()).decode()
        request.add_unredirected_header("Authorization", words)
    trust = ssl.create_default_context(cafile=certificates)
    with urllib.request.urlopen(request, timeout=20, context=trust) as answer:  # noqa: S310 - looked at above
        if parts.scheme == "https" and urlsplit(answer.geturl()).scheme != "https":
            raise ValueError("led away from https:")
        return answer.read(), answer.headers.get_content_type(), answer.geturl()


def page_files(page, kind):
    """Return name, address and sha256 (or None) of each file on an index's page that is not withdrawn."""
    if kind.endswith("json"):
        files = json.loads(page.decode())["files"]
        return [(f["filename"], f["url"], f["hashes"].get("sha256")) for f in files if not f.get("yanked")]
    found = []
    for anchor in re.findall(r"<a\s[^>]*>", page.decode("utf-8", "replace")):
        link = re.search(r"href\s*=\s*[\"']([^\"']*)", anchor)
        if link and "data-yanked" not in anchor:
            location, _, fragment = html.unescape(link.group(1)).partition("#")
            digest = fragment[len("sha256=") :] if fragment.startswith("sha256=") else None
            found.append((unquote(urlsplit(location).path.rpartition("/")[2]), location, digest))
    return found


def runs_here(tags):
    """Tell whether one of a wheel's platform tags is this machine's: its processor, its C library or an older one."""
    machine = sysconfig.get_platform().rpartition("-")[2]
    library, version = platform.libc_ver()
    musl = bool(glob.glob("/lib/ld-musl-*"))
    for tag in tags.split("."):
        found = re.match(r"(many|musl)linux_(\d+)_(\d+)_(\w+)$", tag)
        if not found or found.group(4) != machine:
            continue
        if found.group(1) == "musl":
            if musl:
                return True
        elif library == "glibc" and tuple(map(int, found.groups()[1:3])) <= tuple(map(int, version.split(".")[:2])):
            return True
    return False


def install_by_uv(target, python, base, settings, folder):
    """Install by uv where it does as pip would; tell whether it did, and say why not where that is news."""
    clean = plain(base)
    own = set(packages([python, "-c", FOUND], clean)) if os.path.isdir(CACHE) else set()
    if "pip" not in own or own - INSTALLERS:
        return False
    environment = pip_environment([python, "-m", "pip"], base, settings, folder)
    translated = uv_settings(environment)
    program = find_uv(environment) if translated else None
    if program is None:
        say("uv cannot be had for this base from its index: pip installs")
        return False
    variables, arguments = translated
    command = [program, "pip", "install", "--python", python, "--index-strategy", "unsafe-best-match", *arguments]
    status = subprocess.run(command + wanted(), env=variables, check=False).returncode
    if status != 0:
        say("uv could not do it (status {}): pip tries".format(status))
        make_environment(target, clean)  # what it left is not for pip to go by
    return status == 0


def install_by_pip(python, base, settings, folder):
    """Install by pip and return its exit status."""
    pip = find_pip(python, plain(base))
    environment = pip_environment(pip, base, settings, folder)
    command = [*pip, "install", "--no-input", "--no-compile", *wanted()]
    return subprocess.run(command, env=environment, check=False).returncode


def say(text):
    """Print a line before what the next program prints."""
    sys.stdout.write("buildr: {}\n".format(text))
    sys.stdout.flush()


def compile_modules(target, python, environment):
    """Compile what was installed but its tests, on all processors: users of the image may not write bytecode."""
    found = []
    for folder, _, names in os.walk(os.path.join(target, "lib")):
        paths = [os.path.join(folder, name) for name in names if name.endswith(".py")]
        found += [path for path in paths if not re.search(TESTS, path[len(target) :])]
    found.sort()
    count = os.cpu_count() or 1
    children = []
    for number in range(count):
        child = subprocess.Popen([python, "-S", "-c", COMPILE], env=environment, stdin=subprocess.PIPE)
        children.append(child)
        if child.stdin:
            child.stdin.write("\0".join(found[number::count]).encode("utf-8", "surrogateescape"))
            child.stdin.close()
    for child in children:
        child.wait()


def install(target):
    """Make the environment and return the installer's exit status."""
    base = dict(os.environ)
    settings = read_settings(base)
    clean = plain(base)
    python = make_environment(target, clean)
    status = 0
    with tempfile.TemporaryDirectory() as folder:
        if not install_by_uv(target, python, base, settings, folder):
            status = install_by_pip(python, base, settings, folder)
    if status == 0:
        compile_modules(target, python, clean)
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
