"""Builds the pure C of the media plane for tests, and loads it through cffi (ABI mode)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cffi

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "gateway" / "media" / "native"
PURE = ("rtp", "dtmf_rx", "dtmf_tx", "pcap")  # C11 without dependencies
STRICT = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror")
HEADERS = (*(SOURCES / f"{name}.h" for name in PURE), HERE / "harness.h")


@dataclass(frozen=True, slots=True)
class Native:
    """The loaded library. `lib` has the functions of the headers of PURE, and of harness.h."""

    ffi: Any
    lib: Any


def compile_c(output: Path, sources: Sequence[Path], *options: str, compiler: str = "gcc") -> None:
    """Compiles and links; a warning is a failure, and the compiler's words are in the error."""
    command = [compiler, *STRICT, *options, f"-I{SOURCES}", f"-I{HERE}"]
    command += [*map(str, sources), "-o", str(output)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stderr}"


def pure_sources() -> list[Path]:
    """The C files under test."""
    return [SOURCES / f"{name}.c" for name in PURE]


def declarations(header: str) -> str:
    """A header as cffi reads it: without preprocessor lines, but with its numeric constants."""
    lines = re.sub(r"\\\n", " ", header).splitlines()
    constant = re.compile(r"#define \w+ \d+(\s*/\*.*\*/)?\s*$")
    return "\n".join(
        re.sub(r"/\*.*", "", line) if constant.match(line) else line
        for line in lines
        if not line.startswith("#") or constant.match(line)
    )


def load(directory: Path) -> Native:
    """Builds a shared library in `directory` and loads it."""
    library = directory / "libnative.so"
    compile_c(library, [*pure_sources(), HERE / "harness.c"], "-O1", "-g", "-shared", "-fPIC")
    ffi = cffi.FFI()
    for header in HEADERS:
        ffi.cdef(declarations(header.read_text()))
    return Native(ffi, ffi.dlopen(str(library)))
