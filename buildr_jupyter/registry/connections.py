"""The connections under a registry client: they refuse an inward peer, and a whole answer has a deadline.

A host's name says nothing of where it leads, and a name that was looked up before may lead elsewhere when it is
connected to. So the peer is looked at when the connection stands, before a byte is sent. Through a proxy the peer is
the proxy, which is the user's choice; there the proxy resolves names.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

import requests
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import ProxyManager
from urllib3.response import HTTPResponse

from buildr_jupyter.registry.addresses import is_inward
from buildr_jupyter.registry.deadlines import Deadline

__all__ = ["Adapter", "InwardPeer", "TooSlow", "socket_of"]

_BLOCK = 1 << 16
"""So many bytes of a body are read and sent at once. http.client's 16 KiB are four times the calls; and a block must be
gone within the time between two bytes, also over a slow line."""
_SLOW = "the answer took too long"


class InwardPeer(OSError):
    """A name led to an address of this machine or its surroundings; ``str`` is that address."""


class TooSlow(OSError):
    """An answer was not whole when its time was over."""


class Adapter(requests.adapters.HTTPAdapter):
    """Connects as requests does; ``may_be_inward`` tells of a host whether an inward peer is right for it.

    It may not lead back to the adapter or its session: the connections hold it, and would never be closed.
    """

    def __init__(self, *, answer_s: float, may_be_inward: Callable[[str], bool], pool_maxsize: int) -> None:
        self._answer_s, self._may_be_inward = answer_s, may_be_inward
        super().__init__(pool_maxsize=pool_maxsize)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: object) -> None:
        super().init_poolmanager(connections, maxsize, block, **options)
        self.poolmanager.pool_classes_by_scheme = _pools(self._answer_s, self._may_be_inward)

    def proxy_manager_for(self, proxy: str, **options: object) -> ProxyManager:
        manager: ProxyManager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = _pools(self._answer_s, lambda _host: True)
        return manager


def socket_of(answer: requests.Response) -> socket.socket | None:
    """Return the socket that an answer's body comes from, None where that is not known."""
    found = getattr(answer.raw, "buildr_socket", None)
    return found if isinstance(found, socket.socket) else None


def _pools(answer_s: float, may_be_inward: Callable[[str], bool]) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(_Watched):
        limit_s, allowed = answer_s, staticmethod(may_be_inward)

    class Encrypted(_Watched, HTTPSConnection):
        limit_s, allowed = answer_s, staticmethod(may_be_inward)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}


class _Watched(HTTPConnection):
    """What both kinds of connection do beside connecting."""

    limit_s: float
    allowed: Callable[[str], bool]
    _deadline: Deadline | None = None

    def _new_conn(self) -> socket.socket:
        self.blocksize = _BLOCK
        sock = super()._new_conn()
        try:
            peer = sock.getpeername()[0]
            if is_inward(peer) and not self.allowed(self.host):
                raise InwardPeer(peer)
            if self._deadline is not None:
                self._deadline.watch(sock.dup())  # TLS takes this object's descriptor away
        except BaseException:
            sock.close()
            raise
        return sock

    def connect(self) -> None:
        with Deadline(None, self.limit_s) as self._deadline, contextlib.closing(self._deadline):
            try:
                super().connect()
            except Exception as error:
                if self._deadline.expired:
                    raise TooSlow(_SLOW) from error
                raise
            finally:
                self._deadline = None

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        with Deadline(self.sock, self.limit_s) as deadline:
            try:
                sock = self.sock
                response = super().getresponse()
            except Exception as error:
                if deadline.expired:
                    raise TooSlow(_SLOW) from error
                raise
        if deadline.expired:  # the end of the connection counts as the end of the fields
            response.close()
            raise TooSlow(_SLOW)
        vars(response)["buildr_socket"] = sock
        return response
