"""Upload of a run's files to a registry, as an OCI artifact: each file is a layer with its path as the title.

Its source is given to the collector, which calls ``push``. Standard library only, on any Python from 3.8.

Source: OCI distribution specification 1.1 (blobs in one PUT), OCI image specification 1.1 (artifacts);
docker/distribution ``docs/spec/auth/token.md``.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import http.client
import json
import os
import re
import time
import urllib.parse

TYPE = "application/vnd.buildr.outputs.v1"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TITLE = "org.opencontainers.image.title"
RUN = "io.buildr.run"
EMPTY, EMPTY_TYPE = b"{}", "application/vnd.oci.empty.v1+json"
_TRIES = 4
_TIMEOUT_S = 60


class Refused(Exception):
    """An answer of the registry that is no success."""


class Answer:
    """What the registry says: status, header fields and the first MiB of the body."""

    def __init__(self, answer):
        self.status, self.getheader, self.content = answer.status, answer.getheader, answer.read(1 << 20)


class Registry:
    """One repository of a registry; ``base`` is ``http://HOST`` or ``https://HOST``, ``login`` may be empty."""

    def __init__(self, base, repository, login):
        self.base, self.repository, self.login = base, repository, login
        self.authorization = None

    def ask(self, method, url, headers=None, open_body=None, size=0, tries=_TRIES):
        """Send a request, log in where it asks for that, and return the answer with its body; repeat what breaks."""
        failure: Exception = Refused("")
        challenged = False
        left = tries
        while left:
            if left < tries:
                time.sleep(_TRIES - left)
            try:
                answer = self.send(method, url, headers or {}, open_body, size)
            except (OSError, http.client.HTTPException) as error:
                failure, left = error, left - 1
                continue
            if answer.status == 401 and not challenged:
                challenged = True
                self.authorization = self.log_in(answer.getheader("WWW-Authenticate") or "")
                continue
            if answer.status >= 500 or answer.status == 429:
                failure = Refused("{} {}: status {}".format(method, urllib.parse.urlsplit(url).path, answer.status))
                left -= 1
                continue
            return answer
        raise failure

    def send(self, method, url, headers, open_body=None, size=0):
        """Send one request on a connection of its own; the login goes to the registry alone."""
        parts = urllib.parse.urlsplit(urllib.parse.urljoin(self.base + "/", url))
        make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = make(parts.netloc, timeout=_TIMEOUT_S)
        try:
            fields = dict(headers)
            if self.authorization and "{0.scheme}://{0.netloc}".format(parts) == self.base:
                fields.setdefault("Authorization", self.authorization)
            body = open_body() if open_body else None
            try:
                if method != "GET":
                    fields["Content-Length"] = str(size)
                target = parts.path + ("?" + parts.query if parts.query else "")
                connection.request(method, target, body=body, headers=fields)
                return Answer(connection.getresponse())
            finally:
                if body is not None and hasattr(body, "close"):
                    body.close()
        finally:
            connection.close()

    def log_in(self, challenge):
        """Return what is sent as Authorization from now on: the login itself, or a token for it."""
        user, password = self.login.get("user", ""), self.login.get("password", "")
        basic = "Basic " + base64.b64encode("{}:{}".format(user, password).encode()).decode()
        said = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        if not re.match(r"(?i)bearer\b", challenge.strip()):
            return basic if password else None
        realm = said.get("realm", "")
        service, own = urllib.parse.urlsplit(realm), urllib.parse.urlsplit(self.base)
        if service.scheme != "https" and (own.scheme == "https" or service.hostname != own.hostname):
            raise Refused("it wants the login sent to {} without TLS".format(realm))
        scope = "repository:{}:pull,push".format(self.repository)
        query = [("service", said["service"])] if said.get("service") else []
        if self.login.get("identity_token"):
            form = {"grant_type": "refresh_token", "refresh_token": self.login["identity_token"], "scope": scope}
            data = urllib.parse.urlencode(dict(query, client_id="buildr", **form)).encode()
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = self.send("POST", realm, kind, lambda: data, len(data))
        else:
            query.append(("scope", scope))
            fields = {"Authorization": basic} if password else {}
            answer = self.send("GET", realm + "?" + urllib.parse.urlencode(query), fields)
        if answer.status != 200:
            raise Refused("the login: status {}".format(answer.status))
        document = json.loads(answer.content)
        return "Bearer " + (document.get("token") or document["access_token"])

    def put_blob(self, digest, size, open_body):
        """Send a blob in one piece, each time by a new upload: what broke off may have left a part in the first."""
        for left in reversed(range(_TRIES)):
            try:
                self._put_blob(digest, size, open_body)
                return
            except (OSError, http.client.HTTPException):
                if not left:
                    raise
                time.sleep(1)

    def _put_blob(self, digest, size, open_body):
        place = "/v2/{}/blobs/uploads/".format(self.repository)
        began = checked(self.ask("POST", place), (202,), "an upload")
        there = urllib.parse.urljoin(self.base + place, began.getheader("Location") or "")
        url = there + ("&" if "?" in there else "?") + urllib.parse.urlencode({"digest": digest})
        kind = {"Content-Type": "application/octet-stream"}
        checked(self.ask("PUT", url, kind, open_body, size, tries=1), (201,), "a file of {} bytes".format(size))

    def put_manifest(self, tag, content):
        """Put the manifest under a tag."""
        url = "/v2/{}/manifests/{}".format(self.repository, tag)
        checked(self.ask("PUT", url, {"Content-Type": MANIFEST}, lambda: content, len(content)), (201,), "the manifest")


def checked(answer, good, what):
    """Return an answer that is a success; raise Refused with what the registry says for any other."""
    if answer.status not in good:
        said = answer.content.decode("utf-8", "replace")[:200]
        raise Refused("it refuses {}: status {} {}".format(what, answer.status, said))
    return answer


def digest_of(place):
    """Return the digest of a file, and its size."""
    whole, size = hashlib.sha256(), 0
    with open(place, "rb") as stream:
        while True:
            block = stream.read(1 << 20)
            if not block:
                return "sha256:" + whole.hexdigest(), size
            whole.update(block)
            size += len(block)


def push(base, repository, login, tag, files):
    """Push the files, (path, place, bytes) each, and return the digest of the artifact. Raises Refused, OSError."""
    registry = Registry(base, repository, login)
    layers = []
    for path, place, _ in files:
        digest, size = digest_of(place)
        registry.put_blob(digest, size, functools.partial(open, place, "rb"))
        mode = {"io.buildr.mode": "755"} if os.access(place, os.X_OK) else {}
        known = {"mediaType": "application/octet-stream", "digest": digest, "size": size}
        layers.append(dict(known, annotations=dict(mode, **{TITLE: path})))
    empty = "sha256:" + hashlib.sha256(EMPTY).hexdigest()
    registry.put_blob(empty, len(EMPTY), lambda: EMPTY)
    config = {"mediaType": EMPTY_TYPE, "digest": empty, "size": len(EMPTY)}
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": TYPE, "config": config, "layers": layers}
    document["annotations"] = {RUN: tag}  # each run's is one of its own, so that it can be deleted by its digest
    content = json.dumps(document, sort_keys=True).encode()
    registry.put_manifest(tag, content)
    return "sha256:" + hashlib.sha256(content).hexdigest()
