"""``python -m tests.engines up|down|install|base|without``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.engines import Engines, EngineStartError, base, install, take_down
from tests.engines.hidden import run_without_engines

DEFAULT = Path("/tmp/buildr-engines")


def main() -> int:
    """Run one command; return an exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.engines", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("up", "start dockerd and both registries, print how to reach them"), ("down", "end them")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--dir", type=Path, default=DEFAULT, help="their folder (%(default)s)")
    commands.add_parser("install", help="install the engines' packages (Debian, root)")
    commands.add_parser("base", help="make the base image's tar in the cache, print its path")
    command = commands.add_parser("without", help="run a command with the engines hidden")
    command.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command and its arguments")
    options = parser.parse_args()
    try:
        if options.command == "up":
            return up(options.dir)
        if options.command == "down":
            if (options.dir / "engines.json").exists():
                print(f"ended: {', '.join(take_down(options.dir)) or 'nothing was running'}")
            else:
                print("nothing is up")
            return 0
        if options.command == "install":
            return install.install()
        if options.command == "without":
            return run_without_engines(options.words)
        print(base.rootfs_tar(base.cache_folder()))
    except EngineStartError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def up(folder: Path) -> int:
    """Start all engines under ``folder`` and print shell lines that reach them; they stay when this process ends."""
    if (folder / "engines.json").exists():
        print(f"{folder} has engines already; python -m tests.engines down --dir {folder} ends them", file=sys.stderr)
        return 1
    engines = Engines(folder, owner=0)
    try:
        docker, tls, http = engines.docker(), engines.registry_tls(), engines.registry_http()
    except BaseException:
        engines.close()
        raise
    print(f"export DOCKER_HOST={docker.host}")
    print(f"# registry with TLS: {tls.host} user {tls.user!r} password {tls.password!r} authority {tls.ca}")
    print(f"# registry over http: {http.host}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
