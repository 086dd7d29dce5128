from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

from buildr_jupyter import cli
from buildr_jupyter.commands import enable
from buildr_jupyter.errors import SettingError

CONFIG = Path(__file__).parents[3] / "jupyter-config"
USERS_OWN = "c = get_config()\nc.InteractiveShellApp.extensions = ['autoreload']\n"


def answer(ipythondir: Path, code: str) -> str:
    """Run code in a real kernel and return what it prints."""
    manager, client = start_new_kernel(kernel_name="python3", env={**os.environ, "IPYTHONDIR": str(ipythondir)})
    try:
        printed: list[str] = []
        client.execute_interactive(code, timeout=60, output_hook=lambda m: printed.append(m["content"].get("text", "")))
        return "".join(printed)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_real_kernel_has_the_magic_and_the_users_own_extensions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "profile_default"
    profile.mkdir()
    (profile / "ipython_kernel_config.py").write_text(USERS_OWN)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    asked = "ip = get_ipython(); print('containerize' in ip.magics_manager.magics['cell'], 'autoreload' in ip.magics_manager.magics['line'])"
    assert answer(tmp_path, asked) == "False True\n"
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.py")}
    assert cli.main(["enable", "--user"]) == 0
    assert answer(tmp_path, asked) == "True True\n"
    assert cli.main(["enable", "--user"]) == 0
    assert cli.main(["disable", "--user"]) == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.py")} == before
    assert cli.main(["disable", "--user"]) == 0


def test_a_whole_environment_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--sys-prefix`` on an environment of its own: this one is shared with the other tests."""
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    site = next(path for path in sys.path if path.endswith("site-packages"))
    package = Path(cli.__file__).parents[1]
    (next((environment / "lib").iterdir()) / "site-packages" / "shared.pth").write_text(f"{site}\n{package}\n")
    python = environment / "bin" / "python"
    env = {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython"), "PYTHONWARNINGS": "ignore"}
    code = "print('containerize' in get_ipython().magics_manager.magics['cell'])"

    def ask() -> str:
        ran = subprocess.run(
            [python, "-m", "IPython", "--no-banner", "--no-simple-prompt", "--colors=NoColor", "-c", code],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip().splitlines()[-1]

    def buildr(*argv: str) -> None:
        subprocess.run(
            [python, "-c", f"from buildr_jupyter.cli import main; raise SystemExit(main({list(argv)!r}))"],
            env=env,
            check=True,
            capture_output=True,
        )

    assert ask() == "False"
    buildr("enable", "--sys-prefix")
    assert ask() == "True"
    buildr("disable")
    assert ask() == "False"
    assert not list((environment / "etc").rglob("*.py")) if (environment / "etc").exists() else True


def test_a_file_of_somebody_else_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    path = enable.startup_folder(user=True) / enable.FILE_NAME
    path.parent.mkdir(parents=True)
    path.write_text("mine\n")
    with pytest.raises(SettingError, match="not ours"):
        enable.enable(user=True)
    assert enable.disable(user=True) is None
    assert path.read_text() == "mine\n"


def test_what_administrators_copy_is_what_enable_writes() -> None:
    assert (CONFIG / "startup" / enable.FILE_NAME).read_text() == enable.STARTUP
