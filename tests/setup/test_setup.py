"""The set-up: what it fetches, how it fails, what it caches, and what it promises of `pjgw`."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import stat
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pjgw
import pytest

from tools.setup import debian, native, packages, recipe, sources, wheel
from tools.setup import pjgw as installer
from tools.setup.progress import Progress, SetupError, fail, run
from tools.setup.sources import Wanted

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")


@pytest.fixture
def progress() -> Progress:
    return Progress(io.StringIO())


def archive_of(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return path


def wanted(*origins: recipe.Source) -> Wanted:
    return Wanted("thing", "THING_SOURCE", origins)


# ---- what pjgw promises --------------------------------------------------------------------------


def test_pjgw_has_the_srtp_suites_and_symbols_that_the_media_plane_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.setup.verify"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    report = json.loads(done.stdout.splitlines()[-1])
    assert {"AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM", "AEAD_AES_256_GCM"} <= set(
        report["crypto"]
    )
    assert {"pjsua_var", "pjsua_conf_add_port", "pjsua_conf_connect"} <= set(report["symbols"])
    assert report["mapped"] == []
    assert report["version"] == pjgw.__version__
    assert tuple(map(int, pjgw.__version__.split(".")[:2])) >= (2, 17)


def test_pjgw_carries_sixteen_concurrent_calls() -> None:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("calls_probe.py")), "16"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    # pjlib writes to standard output too, in its own time.
    assert "16" in done.stdout.splitlines(), done.stdout + done.stderr


def test_an_extension_compiles_and_links_against_exactly_this_build(tmp_path: Path) -> None:
    source = tmp_path / "probe.c"
    source.write_text(
        "#include <pjsua-lib/pjsua.h>\n"
        "#include <pjsua-lib/pjsua_internal.h>\n"
        "#include <stdio.h>\n"
        "int main(void) {\n"
        '    printf("%d %d %d %d %s", PJSUA_MAX_CALLS, PJSUA_MAX_CONF_PORTS, PJMEDIA_CONF_BACKEND\n'
        "           == PJMEDIA_CONF_PARALLEL_BRIDGE_BACKEND, pjsua_var.state, pj_get_version());\n"
        "    return 0;\n"
        "}\n"
    )
    program = tmp_path / "probe"
    arguments = ["-Wall", "-Werror", *pjgw.compile_args(), str(source), "-o", str(program)]
    subprocess.run(["gcc", *arguments, *pjgw.link_args()], check=True)
    shown = subprocess.run([program], check=True, capture_output=True, text=True)
    assert shown.stdout == f"1024 4096 1 0 {pjgw.__version__}"


def test_pjgw_tells_what_it_was_built_from() -> None:
    info = pjgw.build_info()
    assert info["key"] == recipe.key()
    assert re.fullmatch(r"[0-9a-f]{64}", info["pjproject_sha256"])


# ---- sources -------------------------------------------------------------------------------------


def test_the_machines_own_mirror_is_used_before_the_default_one() -> None:
    targets = [
        "http://security.example/debian-security/|bookworm-security|main|Debian",
        "http://tools.example/apt/|bookworm|main|Tools",
        "http://mirror.example/debian/|bookworm-updates|main|Debian",
        "http://other.example/archive/|bookworm|main|",
        "http://mirror.example/debian/|bookworm|main|Debian",
        "http://mirror.example/debian/|bookworm|contrib|Debian",
    ]
    assert debian.mirrors(targets) == [
        "http://mirror.example/debian",
        "http://other.example/archive",
        debian.DEFAULT_MIRROR,
    ]
    assert debian.mirrors([]) == [debian.DEFAULT_MIRROR]


def test_the_files_of_a_source_package_are_read_from_apts_listing() -> None:
    listing = (
        "Reading package lists...\n"
        "'http://mirror.example/a/b_1.orig.tar.gz' b_1.orig.tar.gz 638704 SHA256:8a43ef8e\n"
        "'http://mirror.example/a/b_1.dsc' b_1.dsc 12 MD5Sum:99\n"
    )
    assert debian.parse_uris(listing) == [
        debian.SourceFile("http://mirror.example/a/b_1.orig.tar.gz", "b_1.orig.tar.gz", "8a43ef8e")
    ]


def test_a_given_archive_needs_a_known_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive_of(tmp_path / "thing.tar.gz", {"thing/a": "a"})
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    pinned = wanted(recipe.Source("release", "https://example.org/x", sha256))
    monkeypatch.setenv("THING_SOURCE", str(path))
    found = sources.explicit(pinned)
    assert found is not None
    assert found.sha256 == sha256
    with pytest.raises(SetupError, match="none of the pinned archives"):
        sources.explicit(wanted())
    monkeypatch.setenv("THING_SOURCE_SHA256", "0" * 64)
    with pytest.raises(SetupError, match="has the checksum"):
        sources.explicit(pinned)
    monkeypatch.setenv("THING_SOURCE_SHA256", sha256.upper())
    assert sources.explicit(wanted()) is not None
    monkeypatch.setenv("THING_SOURCE", str(tmp_path / "none"))
    with pytest.raises(SetupError, match="is not a file"):
        sources.explicit(pinned)


def test_a_download_with_a_wrong_checksum_is_thrown_away_and_ends_the_set_up(
    tmp_path: Path, progress: Progress
) -> None:
    served = archive_of(tmp_path / "served.tar.gz", {"thing/a": "tampered with"})
    source = recipe.Source("release", served.as_uri(), "1" * 64)
    fallback = recipe.Source("other", served.as_uri(), sources.sha256_of(served))
    downloads = tmp_path / "downloads"
    with pytest.raises(SetupError, match="thrown away"):
        sources.obtain(wanted(source, fallback), downloads, tmp_path / "log", progress)
    assert list(downloads.iterdir()) == []


def test_an_unreachable_source_is_passed_over_and_the_next_one_taken(
    tmp_path: Path, progress: Progress
) -> None:
    served = archive_of(tmp_path / "served.tar.gz", {"thing/a": "text"})
    sha256 = sources.sha256_of(served)
    away = recipe.Source("away", (tmp_path / "none").as_uri(), "1" * 64)
    here = recipe.Source("here", served.as_uri(), sha256)
    found = sources.obtain(wanted(away, here), tmp_path / "downloads", tmp_path / "log", progress)
    assert (found.sha256, found.origin) == (sha256, "here")
    tree = sources.unpack(found, tmp_path / "tree", wanted())
    assert (tree / "a").read_text() == "text"
    with pytest.raises(SetupError, match=r"no source of thing could be fetched.*away") as caught:
        sources.obtain(wanted(away), tmp_path / "more", tmp_path / "log", progress)
    assert "THING_SOURCE=" in caught.value.remedy


@pytest.mark.parametrize(
    ("makefile", "message"),
    [
        ("export PJ_VERSION_MAJOR  := 2\nexport PJ_VERSION_MINOR  := 16\n", "2.16 is too old"),
        ("nothing\n", "not a source tree of pjproject"),
    ],
)
def test_an_old_or_foreign_source_tree_is_refused(
    makefile: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "version.mak").write_text(makefile)
    with pytest.raises(SetupError, match=message):
        native.version_of(tmp_path)


def test_a_newer_release_is_taken(tmp_path: Path) -> None:
    text = "export PJ_VERSION_MAJOR := 2\nexport PJ_VERSION_MINOR := 18\nexport PJ_VERSION_REV :="
    (tmp_path / "version.mak").write_text(text + " 1\n")
    assert native.version_of(tmp_path) == "2.18.1"


# ---- failures a person can act on ----------------------------------------------------------------


def test_a_missing_program_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in ("gcc", "g++", "make", "pkg-config", "strip"):
        (tmp_path / program).symlink_to(f"/usr/bin/{program}")
    (tmp_path / "as").symlink_to("/usr/bin/as")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match=r"pjproject needs swig$") as caught:
        native.require_toolchain()
    assert caught.value.remedy == "apt-get install --no-install-recommends swig"


def test_missing_packages_are_told_where_apt_may_not_be_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, progress: Progress
) -> None:
    assert packages.missing(["make", "no-such-package"]) == ["no-such-package"]
    sudo = tmp_path / "sudo"
    sudo.write_text("#!/bin/sh\nexit 1\n")
    sudo.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SetupError, match="are missing: swig tshark") as caught:
        packages.install(["swig", "tshark"], progress)
    assert caught.value.remedy == (
        "an administrator runs: sudo apt-get update && sudo apt-get install --yes "
        "--no-install-recommends swig tshark"
    )


def test_a_failing_step_shows_the_end_of_its_log_and_a_remedy(
    tmp_path: Path, progress: Progress
) -> None:
    log = tmp_path / "build.log"
    script = "echo one; echo the reason >&2; exit 3"
    with pytest.raises(SetupError) as caught:
        run(["sh", "-c", script], log=log, progress=progress, doing="step", remedy="do this")
    screen = io.StringIO()
    with pytest.raises(SystemExit) as left:
        fail(caught.value, screen)
    assert left.value.code == 1
    assert "the reason" in screen.getvalue()
    assert "set-up failed: step: sh exited with 3" in screen.getvalue()
    assert "what to do:    do this" in screen.getvalue()
    with pytest.raises(SetupError, match="no-such-program is not there"):
        run(["no-such-program"], log=log, progress=progress, doing="step", remedy="do this")


# ---- the cache and the wheel ---------------------------------------------------------------------


def test_the_cache_finds_the_pinned_wheel_first_and_a_named_one_only(tmp_path: Path) -> None:
    pinned = recipe.PJPROJECT[1].sha256
    assert installer.cached(tmp_path, "key", None) is None
    newer = tmp_path / "wheels" / "key" / ("0" * 12) / "pjgw-2.18-x.whl"
    known = tmp_path / "wheels" / "key" / pinned[:12] / "pjgw-2.17-x.whl"
    for path in (newer, known):
        path.parent.mkdir(parents=True)
        path.touch()
    assert installer.cached(tmp_path, "key", None) == known
    assert installer.cached(tmp_path, "key", "0" * 64) == newer
    assert installer.cached(tmp_path, "key", "f" * 64) is None
    assert installer.cached(tmp_path, "other", None) is None


def test_every_choice_of_the_recipe_changes_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {recipe.key()}
    for name, value in (
        ("C_FLAGS", "-O3"),
        ("CONFIG_SITE", (*recipe.CONFIG_SITE, ("PJSUA_MAX_CALLS", "4"))),
        ("PJPROJECT_CONFIGURE", ()),
        ("LIBSRTP", ()),
        ("EDITS", ()),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(recipe, name, value)
            keys.add(recipe.key())
    assert len(keys) == 6


def test_a_wheel_is_complete_and_the_same_every_time(tmp_path: Path) -> None:
    package = tmp_path / "pjgw"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "tool").write_text("#!/bin/sh\n")
    (package / "tool").chmod(0o755)
    name = wheel.wheel_name("2.17+r1.s2")
    paths = [tmp_path / "a" / name, tmp_path / "b" / name]
    for path in paths:
        path.parent.mkdir()
        wheel.pack(package, "2.17+r1.s2", path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with zipfile.ZipFile(paths[0]) as archive:
        record = archive.read("pjgw-2.17+r1.s2.dist-info/RECORD").decode()
        assert {line.split(",")[0] for line in record.splitlines()} == set(archive.namelist())
        mode = archive.getinfo("pjgw/tool").external_attr >> 16
        assert stat.S_IMODE(mode) == 0o755


# ---- the files that the set-up reads -------------------------------------------------------------


def requirements(path: str) -> set[str]:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith(("#", "-"))}


def test_the_project_depends_on_what_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    build_only = {line for line in requirements("requirements.in") if "setuptools" in line}
    assert len(build_only) == 1
    assert set(project["dependencies"]) == requirements("requirements.in") - build_only


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_every_package_by_hash_and_names_no_place(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    pins = re.findall(r"^([a-z0-9][a-z0-9._-]*)==(\S+) \\\n    --hash=sha256:", text, re.M)
    assert len(pins) > 20
    starts = re.findall(r"^[a-z0-9]\S*", text, re.M)
    assert len(starts) == len(pins)
    assert not re.search(r"https?:|file:/|--(index|extra-index|find-links|trusted)| @ ", text)


def test_the_locks_agree_and_cover_their_inputs() -> None:
    run_time, development = (
        dict(re.findall(r"^(\S+)==(\S+)", (ROOT / name).read_text(encoding="utf-8"), re.M))
        for name in LOCKS
    )
    assert run_time.items() <= development.items()
    for path, locked in (("requirements.in", run_time), ("requirements-dev.in", development)):
        names = {re.split(r"[=<>~!\[;]", line)[0].lower() for line in requirements(path)}
        assert names <= set(locked)


def test_ci_is_a_strict_script_that_checks_and_tests() -> None:
    path = ROOT / ".ci" / "run"
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", path], check=True)
    assert "set -euo pipefail" in text
    assert {"make check", "make test"} <= set(text.splitlines())
