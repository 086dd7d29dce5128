"""KubeClient against a server that answers what a test says: what is sent, repeated, resumed and refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from kubernetes.client import Configuration

from buildr_jupyter.cluster.answers import LogNotReady, WatchExpired
from buildr_jupyter.cluster.kube_client import KubeClient
from buildr_jupyter.errors import ClusterForbidden, ClusterUnauthorized, ClusterUnavailable
from buildr_jupyter.events.cancel import CancelToken


@dataclass
class Answer:
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    """More is announced than comes."""
    dropped: bool = False
    """The connection ends without an answer, as that of an API server that is killed."""


@dataclass
class Server:
    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    port: int = 0
    slept: list[float] = field(default_factory=list)
    loads: int = 0

    def client(self, *, known: bool = False) -> KubeClient:
        def load() -> Configuration:
            self.loads += 1
            made = Configuration(host=f"http://127.0.0.1:{self.port}")
            made.api_key["authorization"] = f"Bearer token-{self.loads}"
            return made

        return KubeClient(load, context="here", namespace="team", known=known, sleep=self.slept.append)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            state.asked.append((self.command, self.path, dict(self.headers), body))
            told = state.answers.pop(0) if state.answers else Answer()
            if told.dropped:
                self.close_connection = True
                return
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(told.body) + (100 if told.cut else 0)))
            self.end_headers()
            self.wfile.write(told.body)
            self.close_connection = told.cut

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - the base class names them

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    state.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    http.shutdown()
    http.server_close()
    thread.join()


def said(status: int, message: str, **headers: str) -> Answer:
    return Answer(status, json.dumps({"kind": "Status", "message": message, "code": status}).encode(), headers)


def event(what: str, version: str, **more: Any) -> bytes:
    return json.dumps({"type": what, "object": {"metadata": {"resourceVersion": version}, **more}}).encode() + b"\n"


def test_apply_is_server_side_and_under_our_name(server: Server) -> None:
    client = server.client()
    client.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a b"}})
    method, path, headers, body = server.asked[0]
    assert (method, path) == ("PATCH", "/apis/batch/v1/namespaces/team/jobs/a%20b?fieldManager=buildr&force=true")
    assert (headers["Content-Type"], headers["authorization"]) == ("application/apply-patch+yaml", "Bearer token-1")
    assert body["kind"] == "Job"
    client.close()


def test_pages_of_a_list_are_one(server: Server) -> None:
    server.answers = [
        Answer(body=json.dumps({"metadata": {"continue": "x", "resourceVersion": "7"}, "items": [{"n": 1}]}).encode()),
        said(410, "gone"),
        Answer(body=json.dumps({"metadata": {"continue": "y", "resourceVersion": "8"}, "items": [{"n": 1}]}).encode()),
        Answer(body=json.dumps({"metadata": {"resourceVersion": "8"}, "items": [{"n": 2}]}).encode()),
    ]
    client = server.client()
    listed = client.list("Pod", "a=b")
    assert ([one["n"] for one in listed.items], listed.version) == ([1, 2], "8")
    assert "labelSelector=a%3Db" in server.asked[0][1]
    client.close()


def test_the_labels_of_the_namespace(server: Server) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    server.answers = [Answer(body=json.dumps({"metadata": {"labels": labels}}).encode()), Answer()]
    client = server.client()
    assert client.namespace_labels() == labels
    assert client.namespace_labels() == {}
    assert [path for _, path, _, _ in server.asked] == ["/api/v1/namespaces/team"] * 2
    client.close()


def test_too_many_requests_are_waited_for_as_told(server: Server) -> None:
    server.answers = [said(429, "slow down", **{"Retry-After": "7"}), said(500, "oops"), Answer()]
    client = server.client()
    assert client.get("Job", "x") == {}
    assert server.slept[0] == 7
    assert len(server.asked) == 3
    client.close()


def test_a_login_is_made_anew_once(server: Server) -> None:
    server.answers = [said(401, "expired"), Answer(), said(401, "expired"), said(401, "expired")]
    client = server.client()
    client.get("Job", "x")
    assert [one[2]["authorization"] for one in server.asked] == ["Bearer token-1", "Bearer token-2"]
    with pytest.raises(ClusterUnauthorized, match="expired"):
        client.get("Job", "x")
    client.close()


def test_nothing_answers(server: Server) -> None:
    client = KubeClient(lambda: Configuration(host="http://127.0.0.1:1"), context="here", namespace="team")
    with pytest.raises(ClusterUnavailable, match=r"127\.0\.0\.1:1 does not answer"):
        client.get("Job", "x")
    client.close()


def test_a_server_that_is_away_is_waited_for_where_it_must_be_there(server: Server) -> None:
    """In a pod there is a cluster, whatever has happened to its API server; a kubeconfig's address may be wrong."""
    server.answers = [Answer(dropped=True), Answer(dropped=True), Answer(body=b'{"n": 1}')]
    client = server.client(known=True)
    assert client.get("Job", "x") == {"n": 1}
    assert len(server.asked) == 3
    client.close()
    server.answers = [Answer(dropped=True)]
    client = server.client()
    with pytest.raises(ClusterUnavailable, match="does not answer"):
        client.get("Job", "x")
    client.close()


def test_delete_of_what_is_gone_is_no_error(server: Server) -> None:
    server.answers = [said(404, 'jobs.batch "x" not found')]
    client = server.client()
    client.delete("Job", "x", grace_s=0)
    assert server.asked[0][3]["propagationPolicy"] == "Foreground"
    assert server.asked[0][3]["gracePeriodSeconds"] == 0
    client.close()


def test_a_watch_yields_changes_and_tells_what_ended_it(server: Server) -> None:
    good = event("ADDED", "5") + event("BOOKMARK", "6")
    gone = event("ERROR", "", kind="Status", code=410, message="too old")
    server.answers = [
        Answer(body=good),
        Answer(body=good + b'{"type": "ADD', cut=True),
        Answer(body=gone),
        said(410, "old"),
    ]
    client = server.client()
    found = list(client.watch("Pod", "a=b", "4", CancelToken()))
    assert [(one.type, one.object["metadata"]["resourceVersion"]) for one in found] == [
        ("ADDED", "5"),
        ("BOOKMARK", "6"),
    ]
    assert "resourceVersion=4" in server.asked[0][1]
    stream = client.watch("Pod", "a=b", "4", CancelToken())
    with pytest.raises(ConnectionError):
        list(stream)
    for _ in range(2):
        with pytest.raises(WatchExpired):
            list(client.watch("Pod", "a=b", "4", CancelToken()))
    client.close()


def test_logs_that_are_not_there_yet(server: Server) -> None:
    server.answers = [
        said(400, 'container "program" in pod "p" is waiting to start: PodInitializing'),
        said(404, "the server could not find the requested resource ( pods/log p)"),
        said(403, "forbidden"),
        Answer(body=b"2026-01-01T00:00:00Z one\n"),
    ]
    client = server.client()
    for _ in range(2):
        with pytest.raises(LogNotReady):
            list(client.read_log("p", "program", CancelToken(), follow=True))
    with pytest.raises(ClusterForbidden, match="pods/log"):
        list(client.read_log("p", "program", CancelToken(), follow=True))
    assert b"".join(client.read_log("p", "program", CancelToken(), tail=3)) == b"2026-01-01T00:00:00Z one\n"
    assert "tailLines=3" in server.asked[-1][1]
    client.close()


def test_who_and_what_is_allowed(server: Server) -> None:
    server.answers = [
        Answer(body=b'{"status": {"userInfo": {"username": "me"}}}'),
        said(404, "the server could not find the requested resource"),
        Answer(body=b'{"status": {"allowed": true}}'),
    ]
    client = server.client()
    assert (client.whoami(), client.whoami(), client.allowed("get", "Pod", "log")) == ("me", "", True)
    assert server.asked[2][3]["spec"]["resourceAttributes"]["subresource"] == "log"
    client.close()
