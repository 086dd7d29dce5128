"""A network namespace for one test process and its engines: loopback, bridges and packet filter of its own.

Engines of two processes share nothing then, so that they run at once. The way out is a pair of veth devices and the
host's address translation. Linux and root only; ``missing`` says why it is not possible.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tests.engines._process import EngineStartError, Process, find_program, run

__all__ = ["OwnNetwork", "enter", "missing", "networks_in_use", "sweep", "try_out"]

UPLINK = "uplink"
"""The namespace's end of the pair."""
LINK = "btn"
"""What the name of the host's end begins with; the process id follows."""
OWNER = "buildr-tests:"
"""What the comment of a rule and the alias of a link begin with; process id and start time follow."""
RANGES = ("198.18.0.0/15", "172.20.0.0/14")
"""Where addresses are taken from: networks for tests between devices (RFC 2544, section C.2.2), else private ones."""
_CLONE_NEWNET = 0x40000000
_HERE = "/proc/thread-self/ns/net"


def missing() -> str | None:
    """Return why no namespace can be made here, None where one can."""
    if os.name != "posix" or not Path(_HERE).exists():
        return "network namespaces need Linux"
    if os.geteuid() != 0:
        return "making a network namespace needs root"
    if lacking := [name for name in ("ip", "iptables") if not find_program(name)]:
        return f"not installed: {', '.join(lacking)} (make engines installs them)"
    if needed := _needed_on_loopback():
        return f"{needed} is on this machine's loopback"
    return None


def try_out() -> str | None:
    """Make a namespace and remove it again; return why that is not possible here, None when it is."""
    if why := missing():
        return why
    try:
        enter().close()
    except (EngineStartError, OSError) as error:
        return str(error)
    return None


class OwnNetwork:
    """A namespace that the calling thread is in, and with it every thread and process that it starts."""

    def __init__(self) -> None:
        self._owner = _owner(Process.of(os.getpid(), "owner"))
        self.link = f"{LINK}{os.getpid()}"
        self._host = os.open(_HERE, os.O_RDONLY)
        try:
            _checked("unshare", _CLONE_NEWNET)
            self._own = os.open(_HERE, os.O_RDONLY)
        except OSError:
            os.close(self._host)
            raise

    @contextlib.contextmanager
    def host(self) -> Iterator[None]:
        """Be in the host's namespace inside the ``with`` block."""
        _checked("setns", self._host, _CLONE_NEWNET)
        try:
            yield
        finally:
            _checked("setns", self._own, _CLONE_NEWNET)

    def connect(self) -> None:
        """Bring loopback up and make the way out. Raises EngineStartError."""
        _ip("link", "set", "lo", "up")
        with self.host():
            in_use, mtu = networks_in_use(), _mtu()
            network = _free_network(in_use)
            host, own = network.hosts()
            peer = ("name", UPLINK, "mtu", mtu, "netns", f"/proc/{os.getpid()}/fd/{self._own}")
            _ip("link", "add", self.link, "mtu", mtu, "type", "veth", "peer", *peer)
            _ip("link", "set", self.link, "alias", self._owner, "up")
            _ip("addr", "add", f"{host}/{network.prefixlen}", "dev", self.link)
            self._let_through(network)
        _ip("link", "set", UPLINK, "up")
        _ip("addr", "add", f"{own}/{network.prefixlen}", "dev", UPLINK)
        _ip("route", "add", "default", "via", str(host))
        # Engines choose networks that no route names, so that the host's own stay reachable.
        for other in in_use:
            if not other.is_loopback and not other.is_link_local:
                _ip("route", "replace", str(other), "via", str(host))

    def _let_through(self, network: ipaddress.IPv4Network) -> None:
        answers = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED")
        # Inserted before the rules of a dockerd of this machine, which lets nothing through that is not its own.
        for table, chain, *rule in (
            ("nat", "POSTROUTING", "-s", str(network), "!", "-o", self.link, "-j", "MASQUERADE"),
            ("filter", "FORWARD", "-i", self.link, "-j", "ACCEPT"),
            ("filter", "FORWARD", "-o", self.link, *answers, "-j", "ACCEPT"),
        ):
            comment = ("-m", "comment", "--comment", self._owner)
            run([_program("iptables"), "-w", "-t", table, "-I", chain, *comment, *rule])
        forward = Path("/proc/sys/net/ipv4/ip_forward")
        if forward.read_text().strip() == "0":  # stays 1 afterwards, as after a dockerd
            forward.write_text("1")

    def close(self) -> None:
        """Bring the calling thread back and remove what the host has of it.

        The namespace goes with the last process in it.
        """
        _checked("setns", self._host, _CLONE_NEWNET)
        os.close(self._own)
        os.close(self._host)
        _remove(self._owner, self.link)


def enter() -> OwnNetwork:
    """Move the calling thread into a namespace of its own that has a way out.

    Raises EngineStartError or OSError; the thread is where it was then, and nothing is left.
    """
    made = OwnNetwork()
    try:
        made.connect()
    except BaseException:
        made.close()
        raise
    return made


def sweep() -> None:
    """Remove from the host what killed processes left: links by their alias, rules by their comment."""
    if missing():
        return
    owners: dict[str, str | None] = dict(_links())
    for table in ("nat", "filter"):
        for words in _rules(table):
            owners.update({word: None for word in words if word.startswith(OWNER) and word not in owners})
    for owner, link in owners.items():
        with contextlib.suppress(ValueError):
            pid, started = owner.removeprefix(OWNER).split(":")
            if not Process("owner", int(pid), started).alive():
                _remove(owner, link)


def networks_in_use() -> list[ipaddress.IPv4Network]:
    """Return the networks of this namespace's addresses and routes, the default route aside."""
    listed = _ip("-o", "-4", "addr", "show") + _ip("-4", "route", "show")
    found = []
    for word in listed.split():
        with contextlib.suppress(ValueError):
            if "/" in word:
                found.append(ipaddress.IPv4Network(word, strict=False))
    return [network for network in dict.fromkeys(found) if network.prefixlen > 0]


def _free_network(in_use: list[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    # Counted from the process id, so that two processes that choose at once choose differently.
    for whole in map(ipaddress.IPv4Network, RANGES):
        places = whole.num_addresses // 4
        for count in range(places):
            network = ipaddress.IPv4Network((int(whole[0]) + 4 * ((os.getpid() + count) % places), 30))
            if not any(network.overlaps(other) for other in in_use):
                return network
            if any(other.supernet_of(whole) for other in in_use):
                break
    raise EngineStartError(f"no free network in {' or '.join(RANGES)}")


def _mtu() -> str:
    """Return the largest packet, in bytes, of the device of the default route."""
    words = _ip("-4", "route", "show", "default").split()
    device = words[words.index("dev") + 1] if "dev" in words else "lo"
    return str(min(1500, json.loads(_ip("-json", "link", "show", "dev", device))[0]["mtu"]))


def _needed_on_loopback() -> str | None:
    """Return what tests need that only the host's loopback has, None where they need nothing of it."""
    with contextlib.suppress(OSError):
        for line in Path("/etc/resolv.conf").read_text().splitlines():
            name, *values = line.split() or [""]
            if name == "nameserver" and values and values[0].startswith(("127.", "::1")):
                return "the name server of /etc/resolv.conf"
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        hosts = (urlsplit(url).hostname or "" for url in os.environ.get(name, "").split())
        if any(host == "localhost" or host.startswith(("127.", "::1")) for host in hosts):
            return f"the package index of {name}"
    return None


def _links() -> Iterator[tuple[str, str]]:
    """Yield the alias and the name of each link that a test process made."""
    for link in json.loads(_ip("-json", "link", "show")):
        if link.get("ifalias", "").startswith(OWNER):
            yield link["ifalias"], link["ifname"]


def _rules(table: str) -> list[list[str]]:
    done = subprocess.run([_program("iptables"), "-w", "-t", table, "-S"], capture_output=True, text=True, check=False)
    return [shlex.split(line) for line in done.stdout.splitlines() if OWNER in line]


def _remove(owner: str, link: str | None) -> None:
    if link:
        subprocess.run([_program("ip"), "link", "delete", link], capture_output=True, check=False)
    for table in ("nat", "filter"):
        for words in _rules(table):
            if owner in words:
                subprocess.run(
                    [_program("iptables"), "-w", "-t", table, "-D", *words[1:]], capture_output=True, check=False
                )


def _owner(process: Process) -> str:
    return f"{OWNER}{process.pid}:{process.started}"


def _program(name: str) -> str:
    return find_program(name) or name


def _ip(*words: str) -> str:
    return run([_program("ip"), *words])


def _checked(function: str, *arguments: int) -> None:
    # os.unshare and os.setns came with Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")
