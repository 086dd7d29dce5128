"""Credentials that nobody has, made from the providers' formats when a test runs: none stands in a source file."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_HEX = "0123456789abcdef"
_WORD = string.ascii_letters + string.digits
_LOWER = string.ascii_lowercase + string.digits


@dataclass(frozen=True)
class Fake:
    """One made-up credential."""

    kind: str
    """As gitleaks calls it; None of its rules: ours."""
    value: str
    line: str
    """A line of Python that holds it, as people write it."""


class _Maker:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def of(self, letters: str, count: int) -> str:
        return "".join(self._random.choice(letters) for _ in range(count))

    def bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def pem(self) -> str:
        body = "\n".join(self.of(_WORD + "+/", 64) for _ in range(12))
        dashes = "-" * 5
        return f"{dashes}BEGIN RSA PRIVATE KEY{dashes}\n{body}\n{dashes}END RSA PRIVATE KEY{dashes}"

    def jwt(self) -> str:
        def part(content: object) -> str:
            return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

        claims = {"sub": self.of(_WORD, 12), "name": self.of(_WORD, 8), "iat": 1516239022}
        return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}.{self.of(_WORD + '_-', 43)}"


_FORMATS: dict[str, Callable[[_Maker], str]] = {
    "aws-access-token": lambda m: "AKIA" + m.of(string.ascii_uppercase + "234567", 16),
    "github-pat": lambda m: "ghp_" + m.of(_WORD, 36),
    "github-fine-grained-pat": lambda m: "github_pat_" + m.of(_WORD, 22) + "_" + m.of(_WORD, 59),
    "github-oauth": lambda m: "gho_" + m.of(_WORD, 36),
    "gitlab-pat": lambda m: "glpat-" + m.of(_WORD, 20),
    "slack-bot-token": lambda m: f"xoxb-{m.of('123456789', 12)}-{m.of('123456789', 12)}-{m.of(_WORD, 24)}",
    "slack-webhook-url": lambda m: "https://hooks.slack.com/services/" + f"T{m.of(_WORD, 8)}/B{m.of(_WORD, 8)}/" + m.of(_WORD, 26),
    "gcp-api-key": lambda m: "AIza" + m.of(_WORD + "_-", 35),
    "stripe-access-token": lambda m: "sk_" + "live_" + m.of(_WORD, 24),
    "sendgrid-api-token": lambda m: "SG." + m.of(_WORD, 22) + "." + m.of(_WORD, 43),
    "twilio-api-key": lambda m: "SK" + m.of(_HEX, 32),
    "npm-access-token": lambda m: "npm_" + m.of(_LOWER, 36),
    "pypi-upload-token": lambda m: "pypi-" + "AgEIcHlwaS5vcmc" + m.of(_WORD + "_-", 70),
    "huggingface-access-token": lambda m: "hf_" + m.of(string.ascii_letters, 34),
    "openai-api-key": lambda m: "sk-" + m.of(_WORD, 20) + "T3Blbk" + "FJ" + m.of(_WORD, 20),
    "anthropic-api-key": lambda m: "sk-ant-api03-" + m.of(_WORD + "_-", 93) + "AA",
    "digitalocean-pat": lambda m: "dop_v1_" + m.of(_HEX, 64),
    "databricks-api-token": lambda m: "dapi" + m.of(_HEX, 32),
    "shopify-access-token": lambda m: "shpat_" + m.of(_HEX, 32),
    "grafana-service-account-token": lambda m: "glsa_" + m.of(_WORD, 32) + "_" + m.of(_HEX, 8),
    "vault-service-token": lambda m: "hvs." + m.of(_WORD, 96),
    "postman-api-token": lambda m: "PMAK-" + m.of(_HEX, 24) + "-" + m.of(_HEX, 34),
    "linear-api-key": lambda m: "lin_api_" + m.of(_LOWER, 40),
    "doppler-api-token": lambda m: "dp.pt." + m.of(_LOWER, 43),
    "pulumi-api-token": lambda m: "pul-" + m.of(_HEX, 40),
    "age-secret-key": lambda m: "AGE-SECRET-KEY-1" + m.of("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
    "jwt": lambda m: m.jwt(),
    "private-key": lambda m: m.pem(),
    "login-in-url": lambda m: f"postgres://admin:{m.of(_WORD, 14)}@db.example/x",
    "authorization-header": lambda m: "Authorization: Bearer " + m.of(_WORD, 30),
}  # fmt: skip

KINDS = tuple(_FORMATS)
OWN_KINDS = ("login-in-url", "authorization-header")
"""Kinds that gitleaks' rules do not have."""


def fakes(each: int = 3, seed: int = 7) -> Iterator[Fake]:
    """Yield ``each`` credentials of every kind; the same seed gives the same ones."""
    maker = _Maker(seed)
    for kind, make in _FORMATS.items():
        for _ in range(each):
            value = make(maker)
            text = f'"""{value}"""' if "\n" in value else f'"{value}"'
            yield Fake(kind, value, f"client = connect({text})\n")


_ASSIGNED: dict[str, Callable[[_Maker], tuple[str, str]]] = {
    "azure-account-key": lambda m: _in(
        "DefaultEndpointsProtocol=https;AccountName=data;AccountKey={};EndpointSuffix=core.windows.net\n",
        base64.b64encode(m.bytes(64)).decode(),
    ),
    "aws-secret": lambda m: _in('aws_secret_access_key="{}"\n', m.of(_WORD + "+/", 40)),
    "aws-secret-upper": lambda m: _in("export AWS_SECRET_ACCESS_KEY={}\n", m.of(_WORD + "+/", 40)),
    "token-hex40": lambda m: _in('token="{}"\n', m.of(_HEX, 40)),
    "docker-auth": lambda m: _in(
        '{{"auths": {{"registry.example": {{"auth": "{}"}}}}}}\n',
        base64.b64encode(f"{m.of(_LOWER, 7)}:{m.of(_WORD, 14)}".encode()).decode(),
    ),
    "yaml-password": lambda m: _in("db:\n  user: me\n  password: {}\n", m.of(_WORD, 16)),
    "yaml-password-quoted": lambda m: _in('  password: "{}"\n', m.of(_WORD, 20)),
    "api-key": lambda m: _in('client = Client(api_key="{}")\n', m.of(_WORD, 32)),
    "api-key-bare": lambda m: _in("api_key={}\n", m.of(_HEX, 32)),
    "kubeconfig-token": lambda m: _in("users:\n- name: me\n  user:\n    token: {}\n", m.of(_WORD, 44)),
    "kubeconfig-key": lambda m: _in("    client-key-data: {}\n", base64.b64encode(m.bytes(120)).decode()),
    "secret-key-django": lambda m: _in("SECRET_KEY = '{}'\n", m.of(_WORD + "-_", 50)),
    "json-credential": lambda m: _in('{{"credential": "{}"}}\n', m.of(_WORD, 24)),
    "curl-header": lambda m: _in('curl -X GET \\\n  -H "Authorization: Token {}" \\\n  https://a.example\n', m.of(_HEX, 32)),
    "curl-user": lambda m: _in("curl -s \\\n  -u admin:{} https://a.example\n", m.of(_WORD, 16)),
}  # fmt: skip
ASSIGNED_KINDS = tuple(_ASSIGNED)


def _in(text: str, value: str) -> tuple[str, str]:
    return text.format(value), value


def assigned(each: int = 3, seed: int = 5) -> Iterator[Fake]:
    """Yield credentials that are known by the name that they are given to; ``line`` is the text of a file."""
    maker = _Maker(seed)
    for kind, make in _ASSIGNED.items():
        for _ in range(each):
            text, value = make(maker)
            yield Fake(kind, value, text)
