"""Makes `.venv` and installs into it exactly what a lock file says, and the project itself.

Run as `python3 -m tools.setup.environment requirements.lock`, by any Python from 3.11 on. What was
done is remembered in `.venv/.setup`, so that a second run only compares checksums.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tools.setup.paths import ROOT
from tools.setup.progress import Progress, SetupError, guarded, run

MINIMUM = (3, 11)


class Environment:
    """The virtual environment at `root/.venv`."""

    def __init__(self, root: Path, progress: Progress) -> None:
        self._root = root
        self._progress = progress
        self.directory = root / ".venv"
        self.python = self.directory / "bin" / "python"
        self._marks = self.directory / ".setup"
        self._log = self.directory / ".setup" / "pip.log"

    def create(self) -> None:
        """Make the environment unless it is there and made by this very Python."""
        mark = f"{sys.version}\n{sys.base_prefix}\n"
        if self._done("python", mark):
            return
        if self.python.exists() and not (self._marks / "python").exists():
            # Made by hand: keep it if it is of the same version of Python.
            same = subprocess.run(
                [str(self.python), "-c", "import sys; print(sys.version)"],
                check=False,
                capture_output=True,
                text=True,
            )
            if same.stdout == f"{sys.version}\n":
                self._remember("python", mark)
                return
        self._progress.say(f"making {self.directory}")
        shutil.rmtree(self.directory, ignore_errors=True)
        done = subprocess.run(
            [sys.executable, "-m", "venv", str(self.directory)],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise SetupError(
                f"{sys.executable} cannot make a virtual environment: "
                f"{(done.stdout + done.stderr).strip()}",
                "apt-get install python3-venv",
            )
        self._remember("python", mark)

    def install_lock(self, lock: Path) -> None:
        """Install every package of `lock`, each checked against its hashes.

        The locks agree on versions (`make lock`), so installing one never undoes another.
        """
        mark = hashlib.sha256(lock.read_bytes()).hexdigest()
        if self._done(lock.name, mark):
            return
        self._progress.say(f"installing the Python packages of {lock.name}")
        run(
            [self.python, "-m", "pip", "install", "--require-hashes", "-r", lock],
            log=self._log,
            progress=self._progress,
            doing=f"installing {lock.name}",
            remedy="check that this machine reaches a Python package index (pip config list)",
            env={"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        )
        self._remember(lock.name, mark)

    def install_project(self) -> None:
        """Install the project itself, editable, so that `.venv/bin/gateway` exists."""
        inputs = [self._root / "pyproject.toml", self._root / "setup.py"]
        mark = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()
        mark += f" {self._root}"
        if self._done("project", mark):
            return
        self._progress.say("installing the project (editable)")
        run(
            [
                *(self.python, "-m", "pip", "install", "--no-deps", "--no-build-isolation"),
                *("--no-index", "--editable", self._root),
            ],
            log=self._log,
            progress=self._progress,
            doing="installing the project",
            remedy="run `make clean setup`; if it stays so, report the log",
        )
        self._remember("project", mark)

    def _done(self, step: str, mark: str) -> bool:
        path = self._marks / step
        return path.exists() and path.read_text(encoding="utf-8") == mark

    def _remember(self, step: str, mark: str) -> None:
        self._marks.mkdir(parents=True, exist_ok=True)
        (self._marks / step).write_text(mark, encoding="utf-8")


def main() -> None:
    """Bring the environment in line with the lock files named on the command line."""
    if sys.version_info < MINIMUM:
        raise SetupError(
            f"python3 is {sys.version.split()[0]}, and 3.11 or newer is needed",
            "make PYTHON=python3.11 (or newer), or use Debian 12",
        )
    environment = Environment(ROOT, Progress())
    environment.create()
    for name in sys.argv[1:]:
        environment.install_lock(ROOT / name)
    environment.install_project()


if __name__ == "__main__":
    guarded(main)
