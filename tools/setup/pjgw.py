"""Puts `pjgw` into the running interpreter's environment, from the cache or newly built.

Run as `python -m tools.setup.pjgw`. The cache is outside the checkout, below
`$XDG_CACHE_HOME/gateway` (`~/.cache/gateway`), so a new clone builds nothing.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tools.setup import native, recipe, verify, wheel
from tools.setup.paths import ROOT, cache_directory
from tools.setup.progress import Progress, SetupError, guarded
from tools.setup.sources import Wanted, explicit, obtain, unpack

PJPROJECT = Wanted("pjproject", "PJPROJECT_SOURCE", recipe.PJPROJECT)
LIBSRTP = Wanted("libsrtp2", "LIBSRTP_SOURCE", recipe.LIBSRTP)


def cached(cache: Path, key: str, source: str | None) -> Path | None:
    """Return the finished wheel of this recipe; `source` asks for one archive's checksum.

    Without it any archive will do that passed verification when the wheel was built, the
    pinned ones first.
    """
    shelf = cache / "wheels" / key
    wanted = [source] if source is not None else [pinned.sha256 for pinned in recipe.PJPROJECT]
    folders = [shelf / sha256[:12] for sha256 in wanted]
    if source is None and shelf.is_dir():
        folders += sorted(shelf.iterdir())
    for folder in folders:
        for path in sorted(folder.glob("*.whl")):
            return path
    return None


@contextmanager
def _alone(cache: Path, progress: Progress) -> Iterator[None]:
    """Let one set-up at a time use the cache."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("waiting for another set-up on this machine to finish its build")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(cache: Path, key: str, progress: Progress) -> Path:
    """Obtain the sources, compile them, and return the new wheel in the cache."""
    native.require_toolchain()
    log = cache / "logs" / f"pjgw-{key}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("", encoding="utf-8")
    progress.say(f"building pjproject, once per machine: two or three minutes; log: {log}")
    pjproject = obtain(PJPROJECT, cache / "downloads", log, progress)
    libsrtp = obtain(LIBSRTP, cache / "downloads", log, progress)
    shop = native.Workshop(cache / "work" / key, log, progress)
    tree = unpack(pjproject, shop.directory / "pjproject", PJPROJECT)
    release = native.version_of(tree)
    progress.say(f"pjproject {release} from {pjproject.origin}, checksum verified")
    srtp_tree = unpack(libsrtp, shop.directory / "libsrtp", LIBSRTP)
    prefix = native.build_libsrtp(srtp_tree, shop)
    module = native.build_pjproject(tree, prefix, shop)
    info = {
        "pjproject": release,
        "pjproject_source": pjproject.origin,
        "pjproject_sha256": pjproject.sha256,
        "libsrtp_sha256": libsrtp.sha256,
        "key": key,
        "platform": recipe.platform_name(),
        "python": recipe.python_tag(),
    }
    package = wheel.stage(tree, module, shop.directory / "stage", info)
    verify.check(sys.executable, package.parent, ROOT)
    # The letters keep all-digit hashes from being read as numbers (PEP 440, local versions).
    name = f"{release}+r{key}.s{pjproject.sha256[:8]}"
    target = cache / "wheels" / key / pjproject.sha256[:12] / wheel.wheel_name(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    wheel.pack(package, name, target)
    shutil.rmtree(shop.directory)
    size = target.stat().st_size / 1e6
    progress.say(f"pjgw is built and verified ({size:.1f} MB): {target}")
    return target


def install(path: Path, progress: Progress) -> None:
    """Install the wheel at `path` unless exactly it is installed already.

    The file `.setup/pjgw` of the environment is newer than every older build of the media plane.
    """
    wanted = path.name.split("-")[1]
    mark = Path(sys.prefix) / ".setup" / "pjgw"
    if mark.exists() and _installed() == wanted:
        return
    progress.say(f"installing {wheel.DISTRIBUTION} {wanted}")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    done = subprocess.run(
        [*command, "--force-reinstall", str(path)], check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SetupError(
            f"pip could not install {path.name}: {done.stderr.strip()}",
            f"remove {path} and run the same command again",
        )
    mark.parent.mkdir(exist_ok=True)
    mark.write_text(f"{wanted}\n", encoding="utf-8")


def _installed() -> str | None:
    try:
        return version(wheel.DISTRIBUTION)
    except PackageNotFoundError:
        return None


def main() -> None:
    """Install `pjgw`, building it first when no cached wheel fits."""
    progress = Progress()
    cache, key = cache_directory(), recipe.key()
    given = explicit(PJPROJECT)
    source = None if given is None else given.sha256
    with _alone(cache, progress):
        path = cached(cache, key, source) or build(cache, key, progress)
    install(path, progress)


if __name__ == "__main__":
    guarded(main)
