"""Debian source packages: found through this machine's own mirror, with a private apt state.

The machine's apt set-up is read, never changed: source lists, indexes and locks of these look-ups
live in a directory of ours. What comes back is covered by Debian's archive signature: the release
file is signed, it carries the checksum of the source index, which carries those of the files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.setup.progress import Progress, SetupError, run

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
HELPER = Path("/usr/lib/apt/apt-helper")
DEFAULT_MIRROR = "http://deb.debian.org/debian"
_TARGET_FIELDS = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)"


@dataclass(frozen=True)
class SourceFile:
    """One file of a source package, as the signed index describes it."""

    uri: str
    name: str
    sha256: str


def mirrors(targets: Iterable[str]) -> list[str]:
    """Return the mirrors to try, best first, from lines of `apt-get indextargets`.

    A line is `uri|release|component|origin`. Debian's main archive is the one whose release has
    no suffix (`bookworm`, not `bookworm-security`); an origin is known only after an update.
    """
    found: list[str] = []
    for line in targets:
        uri, release, component, origin = (line.strip().split("|") + [""] * 4)[:4]
        if component == "main" and "-" not in release and origin in {"", "Debian"}:
            found.append(uri.rstrip("/"))
    # A third party's archive may look alike; Debian's is conventionally called `debian`.
    found.sort(key=lambda uri: not uri.endswith("/debian"))
    return list(dict.fromkeys([*found, DEFAULT_MIRROR]))


def parse_uris(text: str) -> list[SourceFile]:
    """Return the files that `apt-get source --print-uris` lists (`'uri' name size SHA256:sum`)."""
    files: list[SourceFile] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 4 and line.startswith("'") and words[3].startswith("SHA256:"):
            files.append(SourceFile(words[0].strip("'"), words[1], words[3].partition(":")[2]))
    return files


def configured_mirrors() -> list[str]:
    """Return the Debian mirrors that this machine's apt is set up with, and the default one."""
    listing = subprocess.run(
        ["apt-get", "indextargets", "--format", _TARGET_FIELDS],
        check=False,
        capture_output=True,
        text=True,
    )
    return mirrors(listing.stdout.splitlines())


class PrivateApt:
    """apt with one source suite and with state and cache of its own, below `directory`."""

    def __init__(self, directory: Path, suite: str, log: Path, progress: Progress) -> None:
        self._directory = directory
        self._suite = suite
        self._log = log
        self._progress = progress

    def files(self, package: str, remedy: str) -> list[SourceFile]:
        """Update the suite's source index and return the files of the newest `package`."""
        if shutil.which("apt-get") is None or not HELPER.exists():
            raise SetupError("this machine has no apt, so no Debian source can be fetched", remedy)
        if not KEYRING.exists():
            raise SetupError(
                f"Debian's archive keys are not there ({KEYRING})",
                "apt-get install debian-archive-keyring",
            )
        self._update(remedy)
        listing = subprocess.run(
            ["apt-get", "source", "--print-uris", "--download-only", "--only-source", package],
            check=False,
            capture_output=True,
            text=True,
            cwd=self._directory,
            env={**os.environ, **self._environment()},
        )
        files = parse_uris(listing.stdout)
        if listing.returncode != 0 or not files:
            raise SetupError(f"Debian {self._suite} has no source package {package}", remedy)
        return files

    def download(self, file: SourceFile, target: Path, remedy: str) -> None:
        """Download `file` to `target`; apt refuses it if its checksum is not the signed one."""
        run(
            [HELPER, "download-file", file.uri, target, f"SHA256:{file.sha256}"],
            log=self._log,
            progress=self._progress,
            doing=f"downloading {file.name}",
            remedy=remedy,
            cwd=self._directory,
            env=self._environment(),
        )

    def _update(self, remedy: str) -> None:
        candidates = configured_mirrors()
        for mirror in candidates:
            self._configure(mirror)
            self._progress.say(f"  reading the source index of Debian {self._suite} at {mirror}")
            try:
                run(
                    ["apt-get", "update"],
                    log=self._log,
                    progress=self._progress,
                    doing=f"reading the source index of Debian {self._suite}",
                    remedy=remedy,
                    env=self._environment(),
                )
            except SetupError as error:
                if mirror == candidates[-1]:
                    raise
                self._progress.say(f"  that mirror failed: {error.what}")
            else:
                return

    def _configure(self, mirror: str) -> None:
        for part in ("state/lists/partial", "cache/archives/partial"):
            (self._directory / part).mkdir(parents=True, exist_ok=True)
        (self._directory / "sources.list").write_text(
            f"deb-src [signed-by={KEYRING}] {mirror} {self._suite} main\n", encoding="utf-8"
        )
        settings = {
            "Dir::State": self._directory / "state",
            "Dir::Cache": self._directory / "cache",
            "Dir::Etc::SourceList": self._directory / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Acquire::Languages": "none",
            # The directory belongs to whoever runs this; apt's own user cannot write there.
            "APT::Sandbox::User": "root",
            # Frozen mirrors serve release files past their date. An old index is signed all the
            # same; it can only lead to the pinned archive, or to one whose version is checked.
            "Acquire::Check-Valid-Until": "false",
            # Without it a mirror that cannot be reached counts as success.
            "APT::Update::Error-Mode": "any",
        }
        lines = [f'{name} "{value}";' for name, value in settings.items()]
        (self._directory / "apt.conf").write_text("\n".join([*lines, ""]), encoding="utf-8")

    def _environment(self) -> dict[str, str]:
        return {"APT_CONFIG": str(self._directory / "apt.conf"), "LC_ALL": "C.UTF-8"}
