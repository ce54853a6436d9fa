"""Sees to it that Debian packages are installed: with apt where it may, else by telling how.

Run as `python3 -m tools.setup.packages NAME...`. Quick, and without network, when all are there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.setup.paths import cache_directory
from tools.setup.progress import Progress, SetupError, guarded, run

# Packages that start a service when they are installed, of which only the programs are wanted.
SERVICES = {"coturn": "coturn.service"}
INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends")


def missing(names: Sequence[str]) -> list[str]:
    """Return those of `names` that dpkg does not know as installed."""
    if shutil.which("dpkg-query") is None:
        raise SetupError(
            "this machine has no dpkg, so it is not Debian",
            "use Debian 12 or a container of it (deploy/README.md), or install the counterparts "
            f"of these packages and set SKIP_APT=1: {' '.join(names)}",
        )
    listing = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Abbrev}\n", *names],
        check=False,
        capture_output=True,
        text=True,
    )
    installed = {
        words[0]
        for words in map(str.split, listing.stdout.splitlines())
        if len(words) > 1 and words[1].startswith("ii")
    }
    return [name for name in names if name not in installed]


def privilege() -> list[str] | None:
    """Return the words to put before apt-get ([] for root), or None where it may not be run."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is None:
        return None
    allowed = subprocess.run([sudo, "--non-interactive", "true"], check=False, capture_output=True)
    return [sudo, "--non-interactive"] if allowed.returncode == 0 else None


def install(names: Sequence[str], progress: Progress) -> None:
    """Install `names` with apt; raise `SetupError` with the exact command where that fails."""
    by_hand = f"sudo apt-get update && sudo {' '.join(INSTALL)} {' '.join(names)}"
    prefix = privilege()
    if prefix is None or shutil.which("apt-get") is None:
        raise SetupError(
            f"{len(names)} Debian packages are missing: {' '.join(names)}",
            f"an administrator runs: {by_hand}",
        )
    log = cache_directory() / "logs" / "apt.log"
    quiet = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"]

    def apt(*words: str, doing: str, remedy: str) -> None:
        run(
            [*quiet, *words, "--quiet=2"],
            log=log,
            progress=progress,
            doing=doing,
            remedy=remedy,
            counts=lambda line: line.startswith("Setting up "),
            unit="packages set up",
        )

    progress.say("apt-get update")
    try:
        apt("apt-get", "update", doing="updating the package lists", remedy=by_hand)
    except SetupError as error:
        progress.say(f"  going on with the lists that are there: {error.what}")
    progress.say(f"apt-get install {' '.join(names)}")
    apt(*INSTALL, *names, doing="installing Debian packages", remedy=f"once apt works: {by_hand}")
    _stop_services(prefix, names, progress)


def _stop_services(prefix: list[str], names: Sequence[str], progress: Progress) -> None:
    if not Path("/run/systemd/system").is_dir():
        return
    for name in names:
        if unit := SERVICES.get(name):
            progress.say(f"switching off {unit}, which only tests start")
            command = [*prefix, "systemctl", "disable", "--now", "--quiet", unit]
            subprocess.run(command, check=False)


def main() -> None:
    """Install what is missing of the packages named on the command line."""
    names = sys.argv[1:]
    if os.environ.get("SKIP_APT"):
        return
    if lacking := missing(names):
        install(lacking, Progress())


if __name__ == "__main__":
    guarded(main)
