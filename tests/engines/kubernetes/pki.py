"""Certificates and kubeconfigs of the tests' cluster: one authority, a server's certificates, and each component's."""

from __future__ import annotations

import base64
import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.engines.certificates import general_name, key_usage

__all__ = ["Addresses", "write"]


@dataclass(frozen=True)
class Addresses:
    """Where the cluster's parts are."""

    node: str
    """Name of the node."""
    node_ip: str
    service_ip: str
    """The API server's address as a service."""
    port: int
    """The API server's, on every address of the node."""


def write(folder: Path, at: Addresses) -> None:
    """Write all of them into ``folder``, good for two days: NAME.crt, NAME.key, NAME.kubeconfig, sa.key, sa.pub, ca.crt.

    ``admin.kubeconfig`` names 127.0.0.1, which is right in the node's network and, through the relay, in the tests'.
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority = _Authority.make()
    (folder / "ca.crt").write_bytes(authority.pem)
    node = f"system:node:{at.node}"
    api_hosts = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "127.0.0.1"]
    servers = {
        "apiserver": ("kube-apiserver", None, [*api_hosts, at.node_ip, at.service_ip]),
        "kubelet-server": (node, "system:nodes", [at.node, "127.0.0.1", at.node_ip]),
    }
    clients = {
        "apiserver-kubelet": ("kube-apiserver-kubelet-client", "system:masters"),
        "admin": ("admin", "system:masters"),
        "kubelet": (node, "system:nodes"),
        "controller-manager": ("system:kube-controller-manager", None),
        "scheduler": ("system:kube-scheduler", None),
        "proxy": ("system:kube-proxy", None),
    }
    for name, (common_name, group, hosts) in servers.items():
        _keep(folder, name, *authority.issue(common_name, group, hosts))
    for name, (common_name, group) in clients.items():
        certificate, key = authority.issue(common_name, group)
        _keep(folder, name, certificate, key)
        server = f"https://{'127.0.0.1' if name == 'admin' else at.node_ip}:{at.port}"
        _private(folder / f"{name}.kubeconfig", kubeconfig(server, authority.pem, certificate, key).encode())
    account = rsa.generate_private_key(65537, 2048)
    _private(folder / "sa.key", _key_pem(account))
    (folder / "sa.pub").write_bytes(
        account.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def kubeconfig(server: str, authority: bytes, certificate: bytes, key: bytes) -> str:
    """Return a kubeconfig with one context for a client's certificate; JSON, which is YAML."""
    user = {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "tests", "cluster": {"server": server, "certificate-authority-data": _base64(authority)}}
            ],
            "users": [{"name": "tests", "user": user}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
            "current-context": "tests",
        }
    )


@dataclass(frozen=True)
class _Authority:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls) -> _Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of the tests' cluster")])
        made = (
            _valid(x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(key_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(key, made)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, common_name: str, group: str | None, hosts: list[str] | None = None) -> tuple[bytes, bytes]:
        """Return certificate and key, both PEM: a server's for ``hosts``, a client's without."""
        key = ec.generate_private_key(ec.SECP256R1())
        parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
        subject = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        unsigned = (
            _valid(x509.CertificateBuilder().subject_name(subject).issuer_name(self.certificate.subject))
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if hosts:
            names = x509.SubjectAlternativeName([general_name(host) for host in hosts])
            unsigned = unsigned.add_extension(names, critical=False)
        signed = unsigned.sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM), _key_pem(key)


def _valid(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    made = builder.not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(days=2))
    return made.serial_number(x509.random_serial_number())


def _key_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _keep(folder: Path, name: str, certificate: bytes, key: bytes) -> None:
    (folder / f"{name}.crt").write_bytes(certificate)
    _private(folder / f"{name}.key", key)


def _private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
