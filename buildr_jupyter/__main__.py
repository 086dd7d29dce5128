"""``python -m buildr_jupyter`` and ``buildr``: the version at once, all else by the command line."""

import sys


def main() -> int:
    """Run the command and return its exit status."""
    if sys.argv[1:] == ["--version"] and sys.stdout is not None:
        from buildr_jupyter import __version__

        try:
            print(f"buildr {__version__}", flush=True)  # noqa: T201 - nothing else is imported for it
            return 0
        except OSError:  # it cannot be written: the command line says so
            pass
    try:
        from buildr_jupyter.cli import main as run

        return run()
    except KeyboardInterrupt:  # while it was imported
        sys.stderr.write("buildr: interrupted\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
