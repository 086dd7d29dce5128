from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

import pytest

from buildr_jupyter.dependencies import index_config
from buildr_jupyter.dependencies.index_config import IndexSettings, redact
from buildr_jupyter.errors import SettingError
from buildr_jupyter.in_image import install
from buildr_jupyter.model.plan import Requirement
from tests.engines import certificates


def read_settings(environ: dict[str, str], *, home: Path, prefix: Path) -> IndexSettings:
    """As on a machine without settings of its own."""
    return index_config.read_settings(environ, home=home, prefix=prefix, system=prefix / "none")


def carried(settings: IndexSettings) -> dict:
    packed = settings.build_args().get("FTP_PROXY", "buildr:")
    return json.loads(zlib.decompress(base64.b64decode(packed.removeprefix("buildr:")))) if packed != "buildr:" else {}


def test_nothing_is_carried_where_nothing_is_set(tmp_path: Path) -> None:
    settings = read_settings({}, home=tmp_path, prefix=tmp_path)
    assert settings == IndexSettings()
    assert settings.build_args() == {}


def test_files_then_variables_win_as_in_pip(tmp_path: Path) -> None:
    (tmp_path / ".config/pip").mkdir(parents=True)
    (tmp_path / ".config/pip/pip.conf").write_text(
        "[global]\nindex-url = https://file.example/simple\nextra-index-url =\n  https://a.example/s\n  https://b.example/s\n"
        "[install]\ntrusted-host = file.example\n"
    )
    (tmp_path / "named.conf").write_text("[global]\nindex_url = https://named.example/simple\n")
    environ = {
        "PIP_CONFIG_FILE": str(tmp_path / "named.conf"),
        "PIP_TRUSTED_HOST": "x.example",
        "https_proxy": "http://proxy:3128",
    }
    settings = read_settings(environ, home=tmp_path, prefix=tmp_path)
    assert settings.environment == {
        "PIP_INDEX_URL": "https://named.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://a.example/s https://b.example/s",
        "PIP_TRUSTED_HOST": "x.example",
    }
    assert settings.proxies == {"HTTPS_PROXY": "http://proxy:3128"}
    assert carried(settings)["environment"] == settings.environment


def test_logins_come_from_netrc_and_never_show(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine index.example login me password p@ss/word\n")
    environ = {"PIP_INDEX_URL": "https://index.example/simple", "PIP_EXTRA_INDEX_URL": "https://u:own@other.example/s"}
    settings = read_settings(environ, home=tmp_path, prefix=tmp_path)
    assert settings.environment["PIP_INDEX_URL"] == "https://me:p%40ss%2Fword@index.example/simple"
    assert settings.environment["PIP_EXTRA_INDEX_URL"] == "https://u:own@other.example/s"
    assert "p%40ss" not in repr(settings)
    assert "own" not in repr(settings)
    assert redact("see https://u:own@other.example/s x") == "see https://****@other.example/s x"


def test_uv_settings_count_where_pip_has_none(tmp_path: Path) -> None:
    (tmp_path / ".config/uv").mkdir(parents=True)
    (tmp_path / ".config/uv/uv.toml").write_text(
        '[[index]]\nurl = "https://default.example/s"\ndefault = true\n[[index]]\nurl = "https://more.example/s"\n'
    )
    settings = read_settings({}, home=tmp_path, prefix=tmp_path)
    assert settings.environment == {
        "PIP_INDEX_URL": "https://default.example/s",
        "PIP_EXTRA_INDEX_URL": "https://more.example/s",
    }
    named = read_settings({"UV_INDEX": "corp=https://named.example/s"}, home=tmp_path / "x", prefix=tmp_path)
    assert named.environment == {"PIP_EXTRA_INDEX_URL": "https://named.example/s"}
    assert (
        read_settings({"PIP_INDEX_URL": "https://p.example/s"}, home=tmp_path, prefix=tmp_path).environment[
            "PIP_INDEX_URL"
        ]
        == "https://p.example/s"
    )


def test_only_private_certificates_travel(tmp_path: Path) -> None:
    import certifi

    authority = certificates.make(tmp_path).ca
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(Path(certifi.where()).read_text(encoding="utf-8") + authority.read_text())
    settings = read_settings({"PIP_CERT": str(bundle)}, home=tmp_path, prefix=tmp_path)
    assert settings.certificates.split() == authority.read_text().split()
    with pytest.raises(SettingError, match="cannot be read"):
        read_settings({"PIP_CERT": str(tmp_path / "none.pem")}, home=tmp_path, prefix=tmp_path)


def test_local_find_links_are_folders_whose_matching_files_come_along(tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    for name in ("my_lib-1.0-py3-none-any.whl", "my_lib-2.0-py3-none-any.whl", "other-1.0.tar.gz", "My.Lib-1.0.tar.gz"):
        (links / name).write_text("x")
    settings = read_settings({"PIP_FIND_LINKS": f"{links} https://links.example/"}, home=tmp_path, prefix=tmp_path)
    assert settings.environment == {"PIP_FIND_LINKS": "https://links.example/"}
    found = settings.wheels_for([Requirement("my-lib==1.0"), Requirement("unpinned")])
    assert [entry.path for entry in found] == ["wheels/My.Lib-1.0.tar.gz", "wheels/my_lib-1.0-py3-none-any.whl"]


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("http://127.0.0.1:1/s", True),
        ("https://localhost/s", True),
        ("http://[::1]:8/s", True),
        ("https://pypi.example/s", False),
    ],
)
def test_an_index_on_loopback_is_noticed(tmp_path: Path, address: str, here: bool) -> None:
    assert read_settings({"PIP_INDEX_URL": address}, home=tmp_path, prefix=tmp_path).on_loopback is here


def test_a_file_that_does_not_parse_is_named_without_its_content(tmp_path: Path) -> None:
    path = tmp_path / "pip.conf"
    path.write_text("index-url = https://u:secret@x/\n")
    with pytest.raises(SettingError, match=r"pip\.conf") as raised:
        read_settings({}, home=tmp_path / "h", prefix=tmp_path)
    assert "secret" not in str(raised.value)


def test_too_many_certificates_are_refused_before_the_kernel_would() -> None:
    import os

    noise = base64.b64encode(os.urandom(120_000)).decode()
    with pytest.raises(SettingError, match="too many"):
        IndexSettings(certificates=noise).build_args()


def test_the_install_step_reads_what_is_carried() -> None:
    settings = IndexSettings(environment={"PIP_INDEX_URL": "https://u:p@x/s"}, certificates="PEM")
    environment = dict(settings.build_args())
    assert install.read_settings(environment) == {
        "environment": {"PIP_INDEX_URL": "https://u:p@x/s"},
        "certificates": "PEM",
    }
    assert environment == {}
    plain = {"FTP_PROXY": "http://proxy:3128"}
    assert install.read_settings(plain) == {}
    assert plain == {"FTP_PROXY": "http://proxy:3128"}
