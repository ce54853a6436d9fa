"""Compiles libsrtp2, pjproject and its SWIG module in a work folder; knows nothing of wheels."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tools.setup import recipe
from tools.setup.progress import Progress, SetupError, run

PROGRAMS = {
    "gcc": "gcc",
    "g++": "g++",
    "make": "make",
    "pkg-config": "pkg-config",
    "swig": "swig",
    "strip": "binutils",
}
# A header that each library's development package installs, and that package.
HEADERS = {
    "openssl/ssl.h": "libssl-dev",
    "opus/opus.h": "libopus-dev",
    "speex/speex.h": "libspeex-dev",
    "speex/speex_resampler.h": "libspeexdsp-dev",
    "gsm/gsm.h": "libgsm1-dev",
    "uuid/uuid.h": "uuid-dev",
    "Python.h": "python3-dev",
}
INCLUDES = ("pjlib", "pjlib-util", "pjnath", "pjmedia", "pjsip")
# Dependents first; pjsua2 is the C++ face that the SWIG module wraps.
LIBRARIES = (
    "pjsua2",
    "pjsua",
    "pjsip-ua",
    "pjsip-simple",
    "pjsip",
    "pjmedia-codec",
    "pjmedia-videodev",
    "pjmedia-audiodev",
    "pjmedia",
    "pjnath",
    "pjlib-util",
    "pj",
)
_COMPILES = re.compile(r"(^|\s)-c -o \S+\.o\b")  # as pjproject's makefiles print it


@dataclass(frozen=True)
class Workshop:
    """Where a build takes place and how it reports."""

    directory: Path
    log: Path
    progress: Progress

    def run(
        self,
        command: Sequence[str | Path],
        doing: str,
        *,
        cwd: Path,
        env: dict[str, str] | None = None,
    ) -> None:
        """Run one build command in `cwd`, its compilations counted."""
        run(
            command,
            log=self.log,
            progress=self.progress,
            doing=doing,
            remedy=(
                f"the full log is {self.log}; if a header or library is missing, "
                "`make setup` installs Debian's, else report the log"
            ),
            cwd=cwd,
            env=env,
            counts=lambda line: _COMPILES.search(line) is not None,
        )


def require_toolchain() -> None:
    """Raise `SetupError` that names every program and header that the build lacks."""
    missing = {name: package for name, package in PROGRAMS.items() if shutil.which(name) is None}
    if "gcc" not in missing:
        python = sysconfig.get_paths()["include"]
        for header, package in HEADERS.items():
            probe = subprocess.run(
                ["gcc", "-E", f"-I{python}", "-x", "c", "-o", os.devnull, "-"],
                check=False,
                input=f"#include <{header}>\n",
                capture_output=True,
                text=True,
            )
            if probe.returncode != 0:
                missing[header] = package
    if missing:
        names = ", ".join(missing)
        packages = " ".join(sorted(set(missing.values())))
        raise SetupError(
            f"the build of pjproject needs {names}",
            f"apt-get install --no-install-recommends {packages}",
        )


def version_of(tree: Path) -> str:
    """Return the version that a pjproject tree states, checked to be new enough."""
    makefile = tree / "version.mak"
    fields: dict[str, str] = {}
    if makefile.exists():
        pattern = r"PJ_VERSION_(MAJOR|MINOR|REV|SUFFIX)\s*:=[ \t]*(\S*)"
        fields = dict(re.findall(pattern, makefile.read_text(encoding="utf-8")))
    try:
        major, minor = int(fields["MAJOR"]), int(fields["MINOR"])
    except (KeyError, ValueError) as error:
        raise SetupError(
            f"{tree} is not a source tree of pjproject (no version in version.mak)",
            "set PJPROJECT_SOURCE to a release archive of pjproject",
        ) from error
    version = f"{major}.{minor}"
    if fields.get("REV"):
        version += f".{fields['REV']}"
    if (major, minor) < recipe.MINIMUM_PJPROJECT:
        least = ".".join(str(number) for number in recipe.MINIMUM_PJPROJECT)
        raise SetupError(
            f"pjproject {version} is too old: releases below {least} have published CVEs",
            f"set PJPROJECT_SOURCE to a release archive of pjproject {least} or newer",
        )
    return version


def build_libsrtp(tree: Path, shop: Workshop) -> Path:
    """Compile a static, position-independent libsrtp2; return the prefix it is installed in."""
    prefix = shop.directory / "prefix"
    shop.progress.say("libsrtp2: compiling, with OpenSSL's ciphers")
    shop.run(
        [tree / "configure", *recipe.LIBSRTP_CONFIGURE, f"--prefix={prefix}"],
        "configuring libsrtp2",
        cwd=tree,
        env={"CFLAGS": recipe.C_FLAGS},
    )
    shop.run(["make", f"-j{_jobs()}", "libsrtp2.a"], "compiling libsrtp2", cwd=tree)
    shop.run(["make", "install"], "installing libsrtp2 in the work folder", cwd=tree)
    return prefix


def build_pjproject(tree: Path, prefix: Path, shop: Workshop) -> Path:
    """Configure and compile pjproject in `tree`; return the folder of the finished SWIG module.

    The libraries end in `tree/*/lib`. They and the SWIG wrapper, one huge C++ file, are compiled
    side by side: on two cores that saves a minute.
    """
    _prepare(tree)
    _configure(tree, prefix, shop)
    swig = tree / "pjsip-apps" / "src" / "swig" / "python"
    with ThreadPoolExecutor(max_workers=1) as pool:
        wrapper = pool.submit(_compile_wrapper, tree, swig, shop)
        shop.progress.say("pjproject: compiling the libraries (about 270 files)")
        shop.run(["make", f"-j{_jobs()}", "lib"], "compiling pjproject", cwd=tree)
        shop.progress.say("pjproject: the libraries are ready, the Python module is not yet")
        wrapper.result()
    _link_module(tree, swig, shop)
    return swig


def _jobs() -> int:
    return len(os.sched_getaffinity(0))


def _prepare(tree: Path) -> None:
    """Apply the recipe's edits and write config_site.h."""
    for name, text, replacement in recipe.EDITS:
        path = tree / name
        before = path.read_text(encoding="utf-8")
        if text not in before:
            raise SetupError(
                f"{name} of this pjproject does not contain {text!r}, which the recipe edits",
                "use the pinned pjproject (unset PJPROJECT_SOURCE), or update EDITS in recipe.py",
            )
        path.write_text(before.replace(text, replacement), encoding="utf-8")
    site = tree / "pjlib" / "include" / "pj" / "config_site.h"
    site.write_text(recipe.config_site(), encoding="utf-8")


def _configure(tree: Path, prefix: Path, shop: Workshop) -> None:
    # A response file, because `$ORIGIN` does not survive pjproject's recursive makefiles.
    options = shop.directory / "link.options"
    options.write_text("-Wl,-rpath,$ORIGIN\n", encoding="utf-8")
    shop.progress.say("pjproject: configuring")
    shop.run(
        [tree / "aconfigure", *recipe.PJPROJECT_CONFIGURE],
        "configuring pjproject",
        cwd=tree,
        env={
            "CFLAGS": f"{recipe.C_FLAGS} -I{prefix}/include",
            "CXXFLAGS": recipe.C_FLAGS,
            "LDFLAGS": f"-L{prefix}/lib @{options}",
            "LIBS": recipe.PJPROJECT_LIBS,
        },
    )
    for name in ("PJMEDIA_HAS_OPUS_CODEC 1", "PJMEDIA_EXTERNAL_GSM_CODEC 1"):
        auto = tree / "pjmedia" / "include" / "pjmedia-codec" / "config_auto.h"
        if f"#define {name}" not in auto.read_text(encoding="utf-8"):
            raise SetupError(
                f"pjproject was configured without {name.split()[0]}",
                "apt-get install libopus-dev libgsm1-dev",
                shop.log,
            )


def _include_flags(tree: Path) -> list[str]:
    return [f"-I{tree / part / 'include'}" for part in INCLUDES]


def _compile_wrapper(tree: Path, swig: Path, shop: Workshop) -> None:
    shop.run(
        [
            *("swig", *_include_flags(tree), "-c++", "-w312", "-threads", "-doxygen", "-python"),
            *("-o", "pjsua2_wrap.cpp", "../pjsua2.i"),
        ],
        "generating the Python module",
        cwd=swig,
    )
    shop.progress.say("pjproject: compiling the Python module (one file, about a minute)")
    python = sysconfig.get_paths()["include"]
    shop.run(
        [
            *("g++", "-c", *recipe.WRAPPER_FLAGS.split(), "-DPJ_AUTOCONF=1", f"-I{python}"),
            *(*_include_flags(tree), "pjsua2_wrap.cpp", "-o", "pjsua2_wrap.o"),
        ],
        "compiling the Python module",
        cwd=swig,
    )


def _link_module(tree: Path, swig: Path, shop: Workshop) -> None:
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    folders = [f"-L{tree / part / 'lib'}" for part in INCLUDES]
    shop.run(
        [
            *("g++", "-shared", "pjsua2_wrap.o", "-o", f"_pjsua2{suffix}", *folders),
            *(*(f"-l{name}" for name in LIBRARIES), "-Wl,-rpath,$ORIGIN/lib"),
        ],
        "linking the Python module",
        cwd=swig,
    )
