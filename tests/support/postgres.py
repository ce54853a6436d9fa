"""A PostgreSQL server of Debian's for tests: in a folder of its own, on a Unix socket in it."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

OWNER = "postgres"
START_SECONDS = 20.0


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
        self._server: subprocess.Popen[bytes] | None = None
        # Short, since a Unix socket's path has at most 107 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._data = self._folder / "data"
        self.user = OWNER if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            shutil.chown(self._folder, self.user)

    def __enter__(self) -> Self:
        options = ["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
        self._run(*self._owned("initdb"), *options)
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
        """Starts it; it answers when this returns. It ends when the test run is killed."""
        settings = ["listen_addresses=", f"unix_socket_directories={self._folder}", "fsync=off"]
        options = [part for setting in settings for part in ("-c", setting)]
        self._server = subprocess.Popen(
            [*self._owned("postgres", "--pdeathsig=KILL"), *options],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + START_SECONDS
        while subprocess.run([self._programs / "pg_isready", "-q", "-h", self._folder]).returncode:
            assert time.monotonic() < end, "PostgreSQL does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stops it at once, connections and all; nothing happens if it does not run."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(timeout=20)
            self._server = None

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

    def _owned(self, program: str, *privileges: str) -> list[str]:
        """One of its programs, on its data, as the user that may."""
        if os.geteuid() == 0:
            group = str(pwd.getpwnam(self.user).pw_gid)
            privileges += (f"--reuid={self.user}", f"--regid={group}", "--clear-groups")
        return ["setpriv", *privileges, str(self._programs / program), "-D", str(self._data)]

    def _run(self, *arguments: str) -> None:
        subprocess.run(
            arguments,
            cwd=self._folder,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )
