"""Journal of this user's runs and of the images that kernels built: SQLite in the user's data folder.

It is never needed to run, only to remember. Rows are written by many processes at once (WAL); a run has a row before
it starts, and its end is written once. What its caller hands over is stored as it is: secrets are hashed before.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from buildr_jupyter.errors import JournalError
from buildr_jupyter.process.locks import private_folder

__all__ = ["Journal", "Row", "data_folder", "place_of"]

_VERSION = 1
_WAIT_S = 10.0
_PAUSE_S = 0.01
_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, image TEXT NOT NULL, image_id TEXT NOT NULL, inputs TEXT NOT NULL,
    state TEXT NOT NULL, attempt INTEGER NOT NULL, exit_code INTEGER, reason TEXT, log_tail TEXT, duration_s REAL,
    started REAL NOT NULL, ended REAL, folder TEXT
);
CREATE INDEX IF NOT EXISTS runs_key ON runs (key, state);
CREATE TABLE IF NOT EXISTS images (image_id TEXT PRIMARY KEY, built REAL NOT NULL);
PRAGMA user_version = 1;
"""
_COLUMNS = (
    "id, key, image, image_id, inputs, state, attempt, exit_code, reason, log_tail, duration_s, started, ended, folder"
)


class Row(NamedTuple):
    """One attempt of one run, as its table has it; what is JSON there is read when it is asked for."""

    id: int
    key: str
    """sha256 of image and inputs, 64 hex digits; that of a run that is never reused is random."""
    image: str
    image_id: str
    inputs_json: str
    state: str
    """starting, done, failed, cancelled or lost."""
    attempt: int
    exit_code: int | None
    reason: str | None
    log_tail_json: str | None
    duration_s: float | None
    started: float
    """Seconds since the epoch, by the clock of then."""
    ended: float | None
    folder_name: str | None

    @property
    def inputs(self) -> dict[str, object]:
        """The inputs by name."""
        found: dict[str, object] = json.loads(self.inputs_json)
        return found

    @property
    def log_tail(self) -> tuple[str, ...]:
        """The last lines that it printed."""
        return tuple(json.loads(self.log_tail_json)) if self.log_tail_json else ()

    @property
    def folder(self) -> Path | None:
        """Where its files are kept."""
        return Path(self.folder_name) if self.folder_name else None


def data_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder of what this user's runs came to: ``BUILDR_DATA``, else ours in the user's data folder."""
    said = (os.environ if environ is None else environ).get("BUILDR_DATA")
    if said:
        return Path(said).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("buildr")


def place_of(folder: Path, key: str) -> Path:
    """Return where in the user's data folder the files of a run are kept."""
    return folder / "values" / key


def _take_wal(connection: sqlite3.Connection) -> None:
    """Have a journal write a WAL; SQLite does not wait by itself where another one who makes it does the same."""
    until = time.monotonic() + _WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


class Journal:
    """The rows; each call is a transaction of its own, so that any thread and any process may make it."""

    def __init__(self, folder: Path) -> None:
        """Open or make the journal in ``folder``; raises JournalError where it cannot be used, and says why."""
        self.path = folder / "journal.sqlite"
        try:
            private_folder(folder)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.close(handle)
            with self._connection() as connection:
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                if version > _VERSION:
                    raise JournalError(
                        f"the journal {self.path} is of a newer buildr (schema {version}, and this one knows "
                        f"{_VERSION})",
                        hint="update buildr_jupyter, or name another folder: BUILDR_DATA=DIR",
                    )
                if version < _VERSION:
                    _take_wal(connection)
                    connection.executescript(_SCHEMA)
                self._stay_open()
        except OSError as error:
            raise JournalError(
                f"the journal {self.path} cannot be used: {error.strerror}",
                hint="name a folder that you may write to: BUILDR_DATA=DIR",
            ) from error

    def _stay_open(self) -> None:
        """Keep a connection that nothing is asked of: where the last one closes, all of the WAL is written back."""
        idle = sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
        weakref.finalize(self, idle.close)
        idle.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # not before is the file open

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = None
        try:
            connection = sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)
            yield connection
        except sqlite3.Error as error:
            raise JournalError(
                f"the journal {self.path} cannot be used: {error}",
                hint="move it away, if it is damaged; or name another folder: BUILDR_DATA=DIR",
            ) from error
        finally:
            if connection is not None:
                connection.close()

    # -- runs

    def begin(
        self, key: str, *, image: str, image_id: str, inputs: Mapping[str, object], attempt: int, now: float
    ) -> int:
        """Write the row of a run that is about to start and return its id."""
        with self._connection() as connection:
            cursor = connection.execute(
                "INSERT INTO runs (key, image, image_id, inputs, state, attempt, started) VALUES (?,?,?,?,?,?,?)",
                (key, image, image_id, json.dumps(dict(inputs)), "starting", attempt, now),
            )
            return int(cursor.lastrowid or 0)

    def end(
        self,
        row: int,
        state: str,
        *,
        now: float,
        exit_code: int | None = None,
        reason: str | None = None,
        log_tail: tuple[str, ...] = (),
        duration_s: float | None = None,
        folder: Path | None = None,
    ) -> None:
        """Write how a run ended, once: a row that has an end keeps it."""
        with self._connection() as connection:
            connection.execute(
                "UPDATE runs SET state = ?, exit_code = ?, reason = ?, log_tail = ?, duration_s = ?, ended = ?, "
                "folder = ? WHERE id = ? AND ended IS NULL",
                (
                    state, exit_code, reason, json.dumps(list(log_tail)), duration_s, now,
                    None if folder is None else str(folder), row,
                ),
            )  # fmt: skip

    def done(self, key: str) -> Row | None:
        """Return the last run of this key that ended with status 0, None where there is none."""
        found = self._select("WHERE key = ? AND state = 'done' ORDER BY id DESC LIMIT 1", (key,))
        return found[0] if found else None

    def unfinished(self, key: str) -> list[Row]:
        """Return the runs of this key that have no end: one that goes on, or that nobody saw end."""
        return self._select("WHERE key = ? AND ended IS NULL ORDER BY id", (key,))

    def rows(self, limit: int = 1000, *, prefix: str = "") -> list[Row]:
        """Return the last runs whose key begins with ``prefix``, the newest first."""
        if not prefix:
            return self._select("ORDER BY id DESC LIMIT ?", (limit,))
        after = prefix + "\U0010ffff"
        return self._select("WHERE key >= ? AND key < ? ORDER BY id DESC LIMIT ?", (prefix, after, limit))

    def forget(self, before: float) -> list[Row]:
        """Remove the rows of runs that ended before then (seconds since the epoch) and return them."""
        gone = self._select("WHERE ended < ?", (before,))
        with self._connection() as connection:
            connection.executemany("DELETE FROM runs WHERE id = ?", [(row.id,) for row in gone])
        return gone

    def held(self) -> list[str]:
        """Return the keys of runs whose files are kept, the one that ended first before the others."""
        with self._connection() as connection:
            found = connection.execute(
                "SELECT key FROM runs WHERE folder IS NOT NULL GROUP BY key ORDER BY max(ended), max(id)"
            )
            return [str(key) for (key,) in found]

    def forget_values(self, key: str) -> None:
        """Note that the files of a run are kept no more: it is not taken for another one, and stays in the list."""
        with self._connection() as connection:
            connection.execute("UPDATE runs SET folder = NULL WHERE key = ?", (key,))

    def _select(self, rest: str, values: tuple[object, ...]) -> list[Row]:
        with self._connection() as connection:
            return list(map(Row._make, connection.execute(f"SELECT {_COLUMNS} FROM runs {rest}", values)))  # noqa: S608 - ours

    # -- images

    def remember_image(self, image_id: str, *, now: float) -> None:
        """Note that this user's kernel built an image from its cells."""
        with self._connection() as connection:
            connection.execute("INSERT OR REPLACE INTO images (image_id, built) VALUES (?, ?)", (image_id, now))

    def made_image(self, image_id: str) -> bool:
        """Tell whether a kernel of this user built the image from its cells."""
        with self._connection() as connection:
            return connection.execute("SELECT 1 FROM images WHERE image_id = ?", (image_id,)).fetchone() is not None
