"""A ledger that keeps its word: what it acknowledged survives kill -9, and a broken file is mended as far as it can be read."""

# SQLite with a write-ahead log. Committing without waiting for the disk takes 20 us, with it 250 us and often far more.
# The first outlives the process, as the system has the bytes; the second outlives the machine.

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TAKEN = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
PATIENCE = 5.0  # seconds to wait for another process that writes
LONG = 32_000_000  # bytes of a write-ahead log that begins anew


def connect(path: Path, power_safe: bool = False) -> sqlite3.Connection:
    """A connection that never waits by itself; each commit reaches the disk if `power_safe`, else the system."""
    con = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    for setting in (
        "journal_mode = WAL",
        f"synchronous = {'FULL' if power_safe else 'NORMAL'}",
        "wal_autocheckpoint = 0",
    ):
        patient(lambda setting=setting: con.execute(f"PRAGMA {setting}"))
    return con


def patient(do: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What `do()` gives, tried again while another process has its turn."""
    until = time.monotonic() + seconds
    while True:
        try:
            return do()
        except sqlite3.OperationalError as error:
            if not _taken(error) or time.monotonic() > until:
                raise
            time.sleep(0.001)


def _taken(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in TAKEN


def together(con: sqlite3.Connection, jobs: list[Callable]) -> list:
    """The results of the jobs, all in one transaction; if one fails, nothing of any is kept."""
    con.execute("BEGIN IMMEDIATE")
    try:
        results = [job(con) for job in jobs]
        con.execute("COMMIT")
    except BaseException:
        if con.in_transaction:
            con.execute("ROLLBACK")
        raise
    return results


class Ledger:
    """A SQLite file that any number of processes may write; `tables` is SQL that makes what is not there yet.

    What `submit` has told its caller survives kill -9. A power cut may take the last second; if `power_safe`, nothing.
    `mended`: what `mend` did to a broken file. Raises sqlite3.Error or OSError if the file cannot be opened."""

    def __init__(self, path: str | Path, tables: str, power_safe: bool = False):
        self.path, self.tables, self.power_safe = Path(path), tables, power_safe
        self._jobs, self._turn, self._closed = queue.SimpleQueue(), threading.Lock(), threading.Event()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.mended, self._con = mend(self.path, tables), None
        self._open()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._write, self._settle)]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Callable[[sqlite3.Connection], Any], done: Callable[[Any, Exception | None], None],
               quick: bool = False) -> None:  # fmt: skip
        """Run `job` in a transaction; then `done(result, None)`, or `done(None, error)` and nothing of it is kept.

        `quick`: at once in this thread if nobody else writes; else in the writer's, with all that waits."""
        if quick and not self.power_safe and self._jobs.empty() and self._turn.acquire(blocking=False):
            try:
                if self._commit([(job, done)], 0):
                    return
            finally:
                self._turn.release()
        self._jobs.put((job, done))

    async def ask(self, job: Callable[[sqlite3.Connection], Any]) -> tuple[Any, Exception | None]:
        """(result, None) of `job` once it is committed, or (None, error); for coroutines."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self.submit(
            job, lambda *told: loop.call_soon_threadsafe(lambda: future.done() or future.set_result(told))
        )
        return await future

    def close(self) -> None:
        """Commit what waits, and close the file."""
        self._jobs.put(None)
        self._closed.set()
        for thread in self._threads:
            thread.join()
        self._con.close()

    def _open(self):
        if self._con:
            self._con.close()
        self._con = connect(self.path, self.power_safe)
        patient(lambda: self._con.executescript(self.tables))
        self._file = os.stat(self.path).st_ino

    def _there(self):  # whether the file that we write is the one that others will read
        try:
            return os.stat(self.path).st_ino == self._file
        except FileNotFoundError:
            return False

    def _commit(self, jobs, patience):  # True once the callers are told; False: somebody else writes
        try:
            if not self._there():
                self._open()
            results, error = patient(lambda: together(self._con, [job for job, _ in jobs]), patience), None
        except (sqlite3.Error, OSError) as trouble:
            if not patience and _taken(trouble):
                return False
            results, error = [None] * len(jobs), trouble
        for (_, done), result in zip(jobs, results, strict=True):
            done(result, error)
        return True

    def _write(self):  # whatever waits is committed together
        job = self._jobs.get()
        while job:
            jobs = [job]
            while not self._jobs.empty() and (job := self._jobs.get()):
                jobs.append(job)
            with self._turn:
                self._commit(jobs, PATIENCE)
            job = job and self._jobs.get()

    def _settle(self):  # once a second into the main file, and onto the disk
        con = file = None
        while not self._closed.wait(1.0):
            with contextlib.suppress(sqlite3.Error, OSError):
                if (there := os.stat(self.path).st_ino) != file:  # the first time, and when it was moved away
                    con = con and con.close()
                    con, file = connect(self.path), there
                con.execute("PRAGMA wal_checkpoint(PASSIVE)")
                if os.path.getsize(f"{self.path}-wal") > LONG:
                    con.execute("PRAGMA wal_checkpoint(RESTART)")
        if con:
            con.close()


def mend(path: str | Path, tables: str) -> dict | None:
    """Rows saved by table if the file at `path` was broken, else None. The broken file is kept beside it.

    A write-ahead log that was cut needs no mending: SQLite takes all transactions up to the last whole one."""
    from filelock import FileLock

    with FileLock(f"{path}.lock"):
        return None if not os.path.exists(path) or _whole(path, tables) else _salvage(Path(path), tables)


def _whole(path, tables):  # whether SQLite can read all of the file
    try:
        with contextlib.closing(connect(path)) as con:
            patient(lambda: con.executescript(tables))
            return con.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return False


def _salvage(path, tables):
    stamp = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(2)}"
    aside, part, saved = (
        path.with_name(f"{path.name}.broken-{stamp}"),
        path.with_name(f"{path.name}.part"),
        {},
    )
    for end in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{end}").rename(f"{aside}{end}")
    part.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(part)) as new, contextlib.closing(sqlite3.connect(aside)) as old:
        new.executescript(tables)
        with contextlib.suppress(sqlite3.DatabaseError):
            old.execute("PRAGMA writable_schema = ON")  # or SQLite refuses a file that was cut
        for (name,) in new.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            width = len(new.execute(f"PRAGMA table_info({name})").fetchall())
            new.executemany(
                f"INSERT OR IGNORE INTO {name} VALUES ({', '.join('?' * width)})", _rows(old, name)
            )
            saved[name] = new.execute(f"SELECT count(*) FROM {name}").fetchone()[
                0
            ]  # half a row breaks a rule
        new.commit()
    part.rename(path)
    return {"broken": str(aside), **saved}


def _rows(con, table):  # all that can still be reached: from the first row on, then from the last one back
    found = {}
    for order in ("ASC", "DESC"):
        with contextlib.suppress(sqlite3.DatabaseError):
            for rowid, *row in con.execute(f"SELECT rowid, * FROM {table} ORDER BY rowid {order}"):
                if rowid in found:
                    break
                found[rowid] = row
    return [found[rowid] for rowid in sorted(found)]
