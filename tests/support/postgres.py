"""A PostgreSQL server of Debian's for tests: in a folder of its own, on a Unix socket in it."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

OWNER = "postgres"


def _programs() -> Path:
    """Where the newest installed version has its programs; Debian keeps them off the PATH."""
    versions = Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")
    return max(versions, key=lambda found: int(found.parent.parent.name)).parent


class Postgres:
    """The server; `with` starts and stops it. It refuses to run as root, so root runs it as the
    user that Debian's package made."""

    def __init__(self) -> None:
        self._programs = _programs()
        self._numbers = itertools.count(1)
        # Short, since a Unix socket's path has at most 107 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._data = self._folder / "data"
        self.user = OWNER if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            shutil.chown(self._folder, self.user)

    def __enter__(self) -> Self:
        self._do("initdb", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8")
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Starts it; it answers when this returns."""
        options = f"-c listen_addresses= -c unix_socket_directories={self._folder} -c fsync=off"
        self._do("pg_ctl", "start", "-w", "-o", options, "-l", str(self._folder / "log"))

    def stop(self) -> None:
        """Stops it, connections and all; nothing happens if it does not run."""
        if (self._data / "postmaster.pid").exists():
            self._do("pg_ctl", "stop", "-w", "-m", "immediate")

    def url(self, database: str = "postgres") -> str:
        """The URL of one of its databases."""
        return f"postgresql://{self.user}@/{database}?host={self._folder}"

    def database(self) -> str:
        """The URL of a new and empty database, which lasts as long as the server."""
        name = f"test{next(self._numbers)}"
        self._sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def _sql(self, statement: str) -> None:
        where = ["-h", str(self._folder), "-U", self.user, "-d", "postgres"]
        self._run(str(self._programs / "psql"), *where, "-qc", statement)

    def _do(self, program: str, *arguments: str) -> None:
        as_user = ["runuser", "-u", self.user, "--"] if os.geteuid() == 0 else []
        self._run(*as_user, str(self._programs / program), "-D", str(self._data), *arguments)

    def _run(self, *arguments: str) -> None:
        subprocess.run(
            arguments,
            cwd=self._folder,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )
