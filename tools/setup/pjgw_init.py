"""Where this build of pjproject keeps its headers and libraries, and how to compile against it.

Becomes `pjgw/__init__.py` of the wheel. Importing it loads nothing native: the SWIG module is
`pjgw.pjsua2`, and a C extension that was linked with `link_args()` finds the same libraries.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

# What a program that links against pjsua needs, in link order (dependents first).
LIBRARIES = (
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

_HERE = Path(__file__).resolve().parent
_INFO: dict[str, str] = json.loads((_HERE / "build.json").read_text(encoding="utf-8"))

__version__ = _INFO["pjproject"]


def include_dir() -> str:
    """Return the absolute directory of the headers (`pj/`, `pjmedia/`, `pjsua-lib/`, ...)."""
    return str(_HERE / "include")


def lib_dir() -> str:
    """Return the absolute directory of the shared libraries (`libpjsua.so.2`, ...)."""
    return str(_HERE / "lib")


def compile_args() -> list[str]:
    """Return the compiler arguments that give a C source the configuration of this build.

    `NDEBUG` is not among them: whether an extension keeps its assertions is its own choice, and
    no structure of pjproject depends on it.
    """
    big = sys.byteorder == "big"
    return [
        "-DPJ_AUTOCONF=1",
        f"-DPJ_IS_BIG_ENDIAN={int(big)}",
        f"-DPJ_IS_LITTLE_ENDIAN={int(not big)}",
        "-fno-strict-aliasing",  # pjproject casts between socket address types in its headers
        f"-I{include_dir()}",
    ]


def link_args() -> list[str]:
    """Return the linker arguments for an extension that uses exactly these libraries.

    The run path is this package's own directory, so no `LD_LIBRARY_PATH` is needed.
    """
    names = [f"-l{name}" for name in LIBRARIES]
    return [f"-L{lib_dir()}", *names, f"-Wl,-rpath,{lib_dir()}"]


def build_info() -> dict[str, str]:
    """Return what this build was made from: version, source, checksums, platform, recipe key."""
    return dict(_INFO)
