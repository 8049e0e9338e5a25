"""A real PostgreSQL on a free port, in a folder of its own, that a test may kill and start again."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from glob import glob
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from tests.support.waiting import PATIENCE_S, until

OWNER = "keeper"
_names = count(1)


class PostgresServer:
    """The server. Over TCP it wants a password, which is made anew for each server."""

    def __init__(self, *, sync: bool = False) -> None:
        """`sync`: every commit goes to the disk, as where a power cut may come."""
        self._sync = sync
        self._bin = _programs()
        self._user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        self.folder = Path(tempfile.mkdtemp(prefix="datakit-postgres-"))
        self.password = secrets.token_hex(12)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        file = self.folder / "password"
        file.write_text(self.password)
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            for path in (self.folder, file):
                os.chown(path, entry.pw_uid, entry.pw_gid)
        auth = ("--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={file}")
        self._run("initdb", "-D", self.data, "-U", OWNER, "-E", "UTF8", "--no-locale", "--no-sync", *auth)
        self.start()

    @property
    def data(self) -> str:
        return str(self.folder / "data")

    def start(self) -> None:
        """Starts the server, and returns when it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        options += f" -c fsync={'on' if self._sync else 'off'} -c shared_buffers=64MB"
        log = str(self.folder / "log")
        words = ("-D", self.data, "-l", log, "-w", "-t", f"{PATIENCE_S:.0f}", "-o", options, "start")
        # The last processes of one that was killed may still hold its memory.
        until(lambda: self._run("pg_ctl", *words, check=False))

    def kill(self) -> None:
        """Ends it as a power cut does, with all processes of it."""
        pid_file = Path(self.data) / "postmaster.pid"
        pid = int(pid_file.read_text().splitlines()[0])
        told = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
        for each in (
            pid,
            *map(int, told.stdout.split()),
        ):  # those that serve clients would go on a moment
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        until(lambda: not self._answers())
        # Where nobody reaps it, its number stays taken, and the next one would think that it runs.
        pid_file.unlink()

    def stop(self) -> None:
        """Ends it, and takes its folder away."""
        if (Path(self.data) / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", self.data, "-m", "immediate", "-W", "stop", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_database(self) -> str:
        """The address of an empty database."""
        name = f"team_{next(_names)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, database: str, user: str = OWNER) -> str:
        """The address of a database, as a recipe may hold it."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def execute(self, query: str, database: str = "postgres") -> list[Any]:
        """Does what its owner wants, and gives the rows."""
        with psycopg.connect(f"{self._own} dbname={database}", autocommit=True) as db:
            cursor = db.execute(query)  # type: ignore[arg-type,unused-ignore]
            return cursor.fetchall() if cursor.description else []

    @property
    def _own(self) -> str:
        return f"host={self.folder} port={self.port} user={OWNER}"

    def _answers(self) -> bool:
        try:
            psycopg.connect(f"{self._own} dbname=postgres", connect_timeout=1).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *words: str, check: bool = True) -> bool:
        """Whether the program ended well."""
        done = subprocess.run(
            [str(self._bin / program), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            user=self._user,
            check=False,
        )
        if check and done.returncode:
            log = self.folder / "log"
            raise RuntimeError(f"{program} failed: {log.read_text() if log.exists() else words}")
        return not done.returncode


def _programs() -> Path:
    """The folder of initdb and its like; the newest."""
    places = [Path(path).parent for path in sorted(glob("/usr/lib/postgresql/*/bin/initdb"), reverse=True)]
    if (own := shutil.which("initdb")) is not None:
        places.insert(0, Path(own).resolve().parent)
    if not places:
        raise RuntimeError("PostgreSQL is not installed: apt-get install postgresql, or the like")
    return places[0]
