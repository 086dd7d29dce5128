"""KubeClient: ClusterClient over the official client, which knows how to log in; objects stay JSON."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, cast
from urllib.parse import quote, urlencode

from buildr_jupyter.cluster.answers import (
    LogNotReady,
    Request,
    WatchExpired,
    error_of,
    is_for_the_moment,
    retry_after_s,
)
from buildr_jupyter.cluster.client import FIELD_MANAGER, KINDS, Change, Kind, Listed
from buildr_jupyter.cluster.websocket import forward_port, iter_output, open_websocket, send_input
from buildr_jupyter.errors import ClusterError, ClusterNotFound, ClusterUnavailable
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.model.json_object import JsonObject, parse_object

__all__ = ["KubeClient"]

_CONNECT_S, _READ_S = 10.0, 60.0
_WATCH_S = 240
"""After so long the server ends a watch by itself, and the next begins where it ended."""
_QUIET_S = 3600.0
"""So long a followed log may write nothing before its connection is taken for broken."""
_PATIENCE_S = 60.0
"""So long a request that was refused for the moment is repeated."""
_PAGE = 500


class KubeClient:
    """Implements ClusterClient; see there. ``load`` gives the official client's Configuration, logged in.

    An API server that is away is waited for, by a client that it has answered before; and by every client with
    ``known``, as in a pod, which a cluster must have started. Any other first request fails at once: the address may
    be wrong.
    """

    def __init__(
        self,
        load: Callable[[], Any],
        *,
        context: str,
        namespace: str,
        known: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.context, self.namespace, self.known = context, namespace, known
        self._load, self._clock, self._sleep = load, clock, sleep
        self._api: Any = None
        self._answered = known
        self._lock = threading.Lock()

    # -- who

    def whoami(self) -> str:
        request = Request("create", None, self.namespace)
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        try:
            found = self._object(request, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=body)
        except ClusterUnavailable:
            raise
        except ClusterError:
            return ""  # a cluster before 1.28
        return str(((found.get("status") or {}).get("userInfo") or {}).get("username") or "")

    def allowed(self, verb: str, kind: Kind, subresource: str = "") -> bool:
        resource = KINDS[kind]
        attributes = {"namespace": self.namespace, "verb": verb, "group": resource.group, "resource": resource.plural}
        if subresource:
            attributes["subresource"] = subresource
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        found = self._object(Request("create", None, self.namespace), "POST", path, body=body)
        return bool((found.get("status") or {}).get("allowed"))

    # -- objects

    def apply(self, manifest: JsonObject) -> JsonObject:
        kind, name = cast("Kind", manifest["kind"]), str(manifest["metadata"]["name"])
        return self._object(
            Request("patch", kind, self.namespace, name), "PATCH", self._path(kind, name),
            query={"fieldManager": FIELD_MANAGER, "force": "true"}, body=manifest, media="application/apply-patch+yaml",
        )  # fmt: skip

    def patch(self, kind: Kind, name: str, change: JsonObject) -> JsonObject:
        return self._object(
            Request("patch", kind, self.namespace, name), "PATCH", self._path(kind, name),
            query={"fieldManager": FIELD_MANAGER}, body=change, media="application/merge-patch+json",
        )  # fmt: skip

    def get(self, kind: Kind, name: str) -> JsonObject:
        return self._object(Request("get", kind, self.namespace, name), "GET", self._path(kind, name))

    def list(self, kind: Kind, selector: str = "", fields: str = "") -> Listed:
        request, version, more = Request("list", kind, self.namespace), "", ""
        items: list[JsonObject] = []
        while True:
            query = {"labelSelector": selector, "fieldSelector": fields, "limit": str(_PAGE), "continue": more}
            try:
                page = self._object(request, "GET", self._path(kind), query={k: v for k, v in query.items() if v})
            except WatchExpired:  # the pages are of a version that is gone: from the beginning
                items, more = [], ""
                continue
            about = page.get("metadata") or {}
            items += page.get("items") or []
            version, more = str(about.get("resourceVersion") or ""), str(about.get("continue") or "")
            if not more:
                return Listed(tuple(items), version)

    def nodes(self, most: int) -> tuple[JsonObject, ...] | None:
        page = self._object(Request("list", None, self.namespace), "GET", "/api/v1/nodes", query={"limit": str(most)})
        more = (page.get("metadata") or {}).get("continue")
        return None if more else tuple(page.get("items") or ())

    def namespace_labels(self) -> Mapping[str, str]:
        path = f"/api/v1/namespaces/{quote(self.namespace, safe='')}"
        found = self._object(Request("get", None, self.namespace, self.namespace), "GET", path)
        labels: Mapping[str, str] = (found.get("metadata") or {}).get("labels") or {}
        return labels

    def delete(self, kind: Kind, name: str, *, propagation: str = "Foreground", grace_s: int | None = None) -> None:
        body: dict[str, object] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if grace_s is not None:
            body["gracePeriodSeconds"] = grace_s
        with contextlib.suppress(ClusterNotFound):
            self._object(Request("delete", kind, self.namespace, name), "DELETE", self._path(kind, name), body=body)

    # -- streams

    def watch(self, kind: Kind, selector: str, version: str, cancel: CancelToken) -> Iterator[Change]:
        query = {
            "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(_WATCH_S),
            "resourceVersion": version, "labelSelector": selector,
        }  # fmt: skip
        request = Request("watch", kind, self.namespace)
        rest = b""
        for chunk in self._stream(request, self._path(kind), query, cancel, quiet_s=_WATCH_S + 30.0):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line.strip():
                    yield _change(line, request, self.context)
        if rest.strip() and not cancel.is_set():
            raise ConnectionError("the watch ended in mid-object")

    def read_log(
        self, pod: str, container: str, cancel: CancelToken, *, follow: bool = False, tail: int | None = None
    ) -> Iterator[bytes]:
        query = {"container": container, "timestamps": "true"}
        if follow:
            query["follow"] = "true"
        if tail is not None:
            query["tailLines"] = str(tail)
        request = Request("get", "Pod", self.namespace, pod, "log")
        path = f"{self._path('Pod', pod)}/log"
        yield from self._stream(request, path, query, cancel, quiet_s=_QUIET_S if follow else _READ_S)

    def send(self, pod: str, container: str, pieces: Iterable[bytes], cancel: CancelToken) -> None:
        query = {"container": container, "stdin": "true", "stdout": "false", "stderr": "false"}
        websocket = self._websocket(Request("create", "Pod", self.namespace, pod, "attach"), query)
        send_input(websocket, pieces, cancel)

    def execute(
        self, pod: str, container: str, command: Sequence[str], cancel: CancelToken, *, say: Callable[[bytes], object]
    ) -> Iterator[bytes]:
        query = [("command", word) for word in command]
        query += [("container", container), ("stdout", "true"), ("stderr", "true")]
        websocket = self._websocket(Request("create", "Pod", self.namespace, pod, "exec"), query)
        yield from iter_output(websocket, say, cancel)

    def forward(self, pod: str, port: int) -> socket.socket:
        request = Request("create", "Pod", self.namespace, pod, "portforward")
        return forward_port(self._websocket(request, {"ports": str(port)}))

    def close(self) -> None:
        with self._lock:
            api, self._api = self._api, None
        if api is not None:
            api.close()

    # -- requests

    def _path(self, kind: Kind, name: str = "") -> str:
        resource = KINDS[kind]
        path = f"{resource.root}/namespaces/{quote(self.namespace, safe='')}/{resource.plural}"
        return f"{path}/{quote(name, safe='')}" if name else path

    def _object(
        self,
        request: Request,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        media: str = "application/json",
    ) -> JsonObject:
        response = self._answer(request, method, path, query or {}, body, media, read_s=_READ_S)
        return parse_object(response.read() or b"") or {}

    def _stream(
        self, request: Request, path: str, query: Mapping[str, str], cancel: CancelToken, *, quiet_s: float
    ) -> Iterator[bytes]:
        from urllib3.exceptions import HTTPError

        response = self._answer(request, "GET", path, query, None, "application/json", read_s=quiet_s).response

        def shut() -> None:
            with contextlib.suppress(Exception):  # it may be closed already
                response.shutdown()

        undo = cancel.on_cancel(shut)
        try:
            yield from response.stream(1 << 16)
        except (HTTPError, OSError, ValueError) as error:
            if not cancel.is_set():
                raise ConnectionError(str(error)) from error
        finally:
            undo()
            with contextlib.suppress(Exception):
                response.close()

    def _answer(
        self,
        request: Request,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: JsonObject | None,
        media: str,
        *,
        read_s: float,
    ) -> Any:
        """Return an answer of status 2xx that is not read yet; a refusal for the moment is repeated."""
        from urllib3.exceptions import HTTPError

        began, pause, again = self._clock(), 0.1, False
        while True:
            try:
                response = self._send(method, path, query, body, media, read_s)
            except (HTTPError, OSError) as error:
                if not self._answered or self._clock() - began > _PATIENCE_S:
                    raise ClusterUnavailable(
                        f"cluster {self.context}: {self._host()} does not answer: {_reason(error)}",
                        hint="see whether the cluster can be reached from here: kubectl cluster-info",
                    ) from error
                wait = pause
            else:
                self._answered = True
                if 200 <= response.status < 300:
                    return response
                said = response.read() or b""
                if response.status == 401 and not again:
                    again = True  # a token may have been renewed on the disk, or by its command
                    self.close()
                    continue
                _raise_special(response.status, said, request)
                if not is_for_the_moment(response.status) or self._clock() - began > _PATIENCE_S:
                    raise error_of(response.status, said, request, self.context)
                wait = retry_after_s(response.headers.get("Retry-After"), pause)
            self._sleep(wait)
            pause = min(2 * pause, 5.0)

    def _send(
        self, method: str, path: str, query: Mapping[str, str], body: JsonObject | None, media: str, read_s: float
    ) -> Any:
        from kubernetes.client.exceptions import ApiException

        api = self._client()
        headers = {"Accept": "application/json", "User-Agent": "buildr"}
        if body is not None:
            headers["Content-Type"] = media
        api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = api.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        text = json.dumps(body) if media.endswith("yaml") and body is not None else body
        try:
            return api.rest_client.request(
                method, url, headers=headers, body=text, _request_timeout=(_CONNECT_S, read_s)
            )
        except ApiException as error:  # what the official client makes of an error of TLS
            raise ConnectionError(str(error.reason)) from error

    def _websocket(self, request: Request, query: Mapping[str, str] | Sequence[tuple[str, str]]) -> Any:
        """Return an open websocket, by which nothing was sent yet: a server that is away for the moment is waited for.

        Raises what ``error_of`` makes of a refusal, ConnectionError.
        """
        began, pause = self._clock(), 0.1
        while True:
            try:
                return self._open(request, query)
            except (ConnectionError, ClusterUnavailable):
                if not self._answered or self._clock() - began > _PATIENCE_S:
                    raise
            self._sleep(pause)
            pause = min(2 * pause, 5.0)

    def _open(self, request: Request, query: Mapping[str, str] | Sequence[tuple[str, str]]) -> Any:
        api = self._client()
        path = f"{self._path('Pod', request.name)}/{request.subresource}"
        headers: dict[str, str] = {}
        api.update_params_for_auth(headers, [], ["BearerToken"], path, "GET", None)
        url = f"{api.configuration.host}{path}?{urlencode(query)}"
        return open_websocket(api.configuration, url, headers, request, self.context)

    def _client(self) -> Any:
        from kubernetes.client import ApiClient

        with self._lock:
            if self._api is None:
                configuration = self._load()
                configuration.retries = False
                configuration.connection_pool_maxsize = 8
                self._api = ApiClient(configuration)
            return self._api

    def _host(self) -> str:
        with self._lock:
            return str(self._api.configuration.host) if self._api is not None else "the API server"


def _change(line: bytes, request: Request, context: str) -> Change:
    document = parse_object(line)
    if document is None:
        raise ConnectionError("the watch sent what is no object")
    kind, found = document.get("type"), document.get("object") or {}
    if kind == "ERROR":
        status = found.get("code")
        _raise_special(status, json.dumps(found).encode(), request)
        if isinstance(status, int) and not is_for_the_moment(status):
            raise error_of(status, json.dumps(found).encode(), request, context)
        raise ConnectionError(str(found.get("message") or "the watch ended with an error"))
    return Change(cast("Literal['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK']", kind), found)


def _raise_special(status: object, said: bytes, request: Request) -> None:
    """Raise what a caller goes on from."""
    if status == 410:
        raise WatchExpired(f"{request.resource}: the version is gone")
    if request.subresource == "log" and (
        (status == 400 and b"is not valid for pod" not in said)  # ContainerCreating, PodInitializing …
        or (status == 404 and b"could not find the requested resource" in said)  # the kubelet does not know it yet
    ):
        raise LogNotReady(said.decode("utf-8", "replace")[:200])


def _reason(error: BaseException) -> str:
    return str(error.__cause__ or error).rpartition(">: ")[2] or str(error)
