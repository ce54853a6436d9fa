"""Builds the media plane: the cffi API-mode module `gateway.media._native` over PJMEDIA.

Run as a script it compiles in place, into gateway/media/; setuptools takes `ffibuilder`.
"""

from __future__ import annotations

import re
from pathlib import Path

import cffi
import pjgw

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
MODULE = "gateway.media._native"


def _declarations() -> str:
    """The part of media.h between the CFFI marks, without comments."""
    text = (HERE / "media.h").read_text(encoding="utf-8")
    part = text.split("/* CFFI BEGIN */")[1].split("/* CFFI END */")[0]
    return re.sub(r"/\*.*?\*/", "", part, flags=re.DOTALL)


def _builder() -> cffi.FFI:
    builder = cffi.FFI()
    builder.cdef(_declarations())
    builder.set_source(
        MODULE,
        '#include "media.h"',
        sources=[
            str(source.relative_to(ROOT))
            for source in sorted(HERE.glob("*.c"))
            if not source.name.startswith("fuzz_")
        ],
        depends=[str(header.relative_to(ROOT)) for header in sorted(HERE.glob("*.h"))],
        include_dirs=[str(HERE.relative_to(ROOT)), pjgw.include_dir()],
        extra_compile_args=[
            *pjgw.compile_args(),
            "-std=gnu11",
            "-D_GNU_SOURCE",
            "-O2",
            "-Wall",
            "-Wextra",
            "-Wno-unused-parameter",
            "-fvisibility=hidden",
        ],
        extra_link_args=[*pjgw.link_args(), "-lopus", f"-Wl,-rpath,{pjgw.lib_dir()}"],
    )
    return builder


ffibuilder = _builder()

if __name__ == "__main__":
    import os

    os.chdir(ROOT)
    ffibuilder.compile(tmpdir=str(ROOT), verbose=False)
