"""Obtains source archives, each verified before it is opened, and unpacks them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tools.setup.debian import PrivateApt
from tools.setup.progress import Progress, SetupError
from tools.setup.recipe import Source

DOWNLOAD_TIMEOUT_SECONDS = 20.0
_CHUNK = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Archive:
    """A source archive on disk whose checksum was verified, and the words that say how."""

    path: Path
    sha256: str
    origin: str


@dataclass(frozen=True)
class Wanted:
    """A piece of software, the pinned ways to get it, and the variable that names a file."""

    name: str
    variable: str
    sources: tuple[Source, ...]

    @property
    def remedy(self) -> str:
        """How a person gets past every failure to obtain it."""
        return (
            f"connect to a Debian mirror, or fetch one of the archives named in "
            f"tools/setup/recipe.py elsewhere and set {self.variable}=/path/to/the/archive"
        )


class UnreachableError(Exception):
    """A source that cannot be reached from here; the next one is tried."""


class WrongChecksumError(SetupError):
    """What arrived is not what was published; nothing else is tried, a person should look."""


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def obtain(wanted: Wanted, directory: Path, log: Path, progress: Progress) -> Archive:
    """Return a verified archive of `wanted`; downloads are kept in `directory`.

    The order: the file that the variable names, then the pinned sources in their order. A source
    that cannot be reached is passed over with a line that says why; a wrong checksum is an error.
    """
    given = explicit(wanted)
    if given is not None:
        return given
    directory.mkdir(parents=True, exist_ok=True)
    failures: list[str] = []
    for source in wanted.sources:
        progress.say(f"{wanted.name}: trying {source.name}")
        try:
            if source.origin.startswith("debian:"):
                return _from_debian(wanted, source, directory, log, progress)
            return _from_web(wanted, source, directory)
        except WrongChecksumError:
            raise
        except (UnreachableError, SetupError) as error:
            failures.append(f"{source.name}: {error}")
            progress.say(f"  not from there: {error}")
    raise SetupError(
        f"no source of {wanted.name} could be fetched ({'; '.join(failures)})", wanted.remedy, log
    )


def explicit(wanted: Wanted) -> Archive | None:
    """Return the archive named by the environment, verified; None when none is named.

    A pinned archive is recognised by its checksum; any other needs its checksum beside it, in
    `<variable>_SHA256`.
    """
    named = os.environ.get(wanted.variable)
    if not named:
        return None
    path = Path(named).expanduser()
    if not path.is_file():
        raise SetupError(
            f"{wanted.variable} names {path}, which is not a file",
            f"give it the path of a source archive of {wanted.name} (.tar.gz, .tar.xz, .tar.bz2)",
        )
    actual = sha256_of(path)
    expected = os.environ.get(f"{wanted.variable}_SHA256", "").lower()
    pinned = {source.sha256 for source in wanted.sources}
    if expected and expected != actual:
        raise SetupError(
            f"{path} has the checksum {actual}, not the {expected} of {wanted.variable}_SHA256",
            "fetch the archive again from a source that you trust",
        )
    if not expected and actual not in pinned:
        raise SetupError(
            f"{path} is none of the pinned archives of {wanted.name}",
            f"verify it by its publisher's checksum and set {wanted.variable}_SHA256 to that",
        )
    return Archive(path, actual, "a given file")


def _from_web(wanted: Wanted, source: Source, directory: Path) -> Archive:
    target = directory / f"{wanted.name}-{source.sha256[:12]}-{source.origin.rpartition('/')[2]}"
    if not target.exists():
        partial = target.with_name(target.name + ".part")
        try:
            with (
                urllib.request.urlopen(source.origin, timeout=DOWNLOAD_TIMEOUT_SECONDS) as reply,
                partial.open("wb") as file,
            ):
                shutil.copyfileobj(reply, file, _CHUNK)
        except (urllib.error.URLError, OSError) as error:
            raise UnreachableError(getattr(error, "reason", error)) from error
        partial.rename(target)
    return Archive(target, _verified(target, source.sha256, wanted), source.name)


def _from_debian(
    wanted: Wanted, source: Source, directory: Path, log: Path, progress: Progress
) -> Archive:
    suite, package, suffix = source.origin.removeprefix("debian:").split("/")
    kept = directory / f"{wanted.name}-{source.sha256[:12]}{suffix}"
    if kept.exists():
        return Archive(kept, _verified(kept, source.sha256, wanted), source.name)
    apt = PrivateApt(directory.parent / "apt" / suite, suite, log, progress)
    files = [file for file in apt.files(package, wanted.remedy) if file.name.endswith(suffix)]
    if len(files) != 1:
        raise SetupError(
            f"Debian's source package {package} has no one file *{suffix}", wanted.remedy
        )
    file = files[0]
    if file.sha256 == source.sha256:
        target, origin = kept, f"{source.name} ({suite})"
    else:
        # Debian moved on. Its signature covers the newer file; the caller checks its version.
        progress.say(f"  Debian {suite} has {file.name}, newer than the pinned archive: taking it")
        target = directory / f"{wanted.name}-{file.sha256[:12]}{suffix}"
        origin = f"{source.name} ({suite}, checksum signed by Debian, not pinned here)"
    if not target.exists():
        partial = target.with_name(target.name + ".part")
        apt.download(file, partial, wanted.remedy)
        partial.rename(target)
    return Archive(target, _verified(target, file.sha256, wanted), origin)


def _verified(path: Path, expected: str, wanted: Wanted) -> str:
    actual = sha256_of(path)
    if actual != expected:
        path.unlink()
        raise WrongChecksumError(
            f"{path.name} has the checksum {actual} instead of {expected}; it was thrown away",
            "run the same command again; if it stays so, the network between here and the "
            f"server changes files: {wanted.remedy}",
        )
    return actual


def unpack(archive: Archive, directory: Path, wanted: Wanted) -> Path:
    """Unpack `archive` into the new `directory`; return the one folder that it holds."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    try:
        with tarfile.open(archive.path) as tar:
            if hasattr(tarfile, "data_filter"):
                tar.extractall(directory, filter="data")
            else:  # Python 3.11.0 to 3.11.3; the archive was verified
                tar.extractall(directory)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise SetupError(
            f"{archive.path.name} cannot be unpacked: {error}", wanted.remedy
        ) from error
    folders = [path for path in directory.iterdir() if path.is_dir()]
    if len(folders) != 1:
        raise SetupError(f"{archive.path.name} does not hold one folder", wanted.remedy)
    return folders[0]
