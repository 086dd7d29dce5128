"""The upload of output files: what a registry has afterwards, by each kind of login, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from buildr_jupyter.in_image import upload
from tests.fakes.registry import FakeRegistry

LOGIN = {"user": "u", "password": "p"}


def files_of(folder: Path, **texts: str) -> list[tuple[str, str, int]]:
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [(f"/app/output/{name}", str(folder / name), len(text)) for name, text in texts.items()]


@pytest.mark.parametrize("auth", ["none", "basic", "bearer"])
def test_each_file_is_a_layer(tmp_path: Path, auth: Literal["none", "basic", "bearer"]) -> None:
    with FakeRegistry(auth=auth) as registry:
        files = files_of(tmp_path, a="1", b="2" * 100_000)
        digest = upload.push(f"http://{registry.host}", "team/app", LOGIN, "run-x", files)
        kind, content = registry.manifests[("team/app", "run-x")]
        document = json.loads(content)
        assert (kind, document["artifactType"]) == (upload.MANIFEST, upload.TYPE)
        assert [one["annotations"][upload.TITLE] for one in document["layers"]] == ["/app/output/a", "/app/output/b"]
        assert [registry.blobs[one["digest"]] for one in document["layers"]] == [b"1", b"2" * 100_000]
        assert ("team/app", digest) in registry.manifests


def test_what_breaks_is_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload.time, "sleep", lambda _seconds: None)
    with FakeRegistry() as registry:
        registry.fail = [503, 429]
        registry.break_sends = 1
        upload.push(f"http://{registry.host}", "app", {}, "run-x", files_of(tmp_path, a="x" * 300_000))
        assert ("app", "run-x") in registry.manifests


@pytest.mark.parametrize("more", [{"auth": "basic", "password": "other"}, {"denied": "write"}, {"auth": "bearer"}])
def test_a_refusal_is_said(tmp_path: Path, more: dict[str, Any]) -> None:
    login = {} if more.get("auth") == "bearer" else LOGIN
    with FakeRegistry(**more) as registry, pytest.raises(upload.Refused, match=r"status 40[13]|refuses"):
        upload.push(f"http://{registry.host}", "app", login, "run-x", files_of(tmp_path, a="1"))


@pytest.mark.parametrize("base", ["http://registry.example", "https://registry.example"])
def test_the_login_goes_to_no_other_host_without_tls(base: str) -> None:
    registry = upload.Registry(base, "app", LOGIN)
    with pytest.raises(upload.Refused, match="without TLS"):
        registry.log_in('Bearer realm="http://other.example/token",service="x"')
