"""Assembles the wheel `pjgw` from a finished build; the same input gives the same bytes."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

from tools.setup.native import INCLUDES, LIBRARIES
from tools.setup.progress import SetupError

DISTRIBUTION = "pjgw"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time that a zip file can state
_LICENSE = "GPL-2.0-or-later"


def wheel_name(version: str) -> str:
    """Return the file name of the wheel for the running interpreter (PEP 427)."""
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return f"{DISTRIBUTION}-{version}-{python}-{python}-{platform}.whl"


def stage(tree: Path, module: Path, directory: Path, info: dict[str, str]) -> Path:
    """Lay out the package below `directory`; return the package folder.

    `tree` is the compiled pjproject, `module` the folder of the SWIG module, `info` goes to
    `build.json`. Beside each `libX.so.2` lies a linker script `libX.so`: a wheel cannot carry the
    symbolic link that `-lX` looks for.
    """
    shutil.rmtree(directory, ignore_errors=True)
    package = directory / DISTRIBUTION
    (package / "lib").mkdir(parents=True)
    shutil.copyfile(Path(__file__).with_name("pjgw_init.py"), package / "__init__.py")
    shutil.copyfile(module / "pjsua2.py", package / "pjsua2.py")
    extensions = list(module.glob("_pjsua2.*.so"))
    for path in extensions:
        shutil.copy(path, package / path.name)
    libraries = [path for part in INCLUDES for path in (tree / part / "lib").glob("lib*.so.*")]
    for path in libraries:
        name = path.name.split(".so.")[0]
        if name.removeprefix("lib") not in LIBRARIES:
            continue  # libpjsdp, which libpjmedia contains already
        shutil.copy(path, package / "lib" / path.name)
        script = package / "lib" / f"{name}.so"
        script.write_text(f"INPUT({path.name})\n", encoding="utf-8")
    for part in INCLUDES:
        shutil.copytree(tree / part / "include", package / "include", dirs_exist_ok=True)
    text = json.dumps(info, indent=1, sort_keys=True)
    (package / "build.json").write_text(text + "\n", encoding="utf-8")
    _strip([*extensions, *libraries], package)
    return package


def _strip(built: list[Path], package: Path) -> None:
    if not built:
        raise SetupError("the build left no libraries", "report the log of this set-up")
    for path in [*package.glob("*.so"), *(package / "lib").glob("*.so.*")]:
        # Keeps the symbol table, by which profilers name functions.
        subprocess.run(["strip", "--strip-debug", str(path)], check=True)


def pack(package: Path, version: str, target: Path) -> None:
    """Write the wheel of `package` to `target`, which appears only when it is complete."""
    folder = f"{DISTRIBUTION}-{version}.dist-info"
    tag = "-".join(wheel_name(version).removesuffix(".whl").split("-")[2:])
    metadata = (
        f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: {version}\n"
        f"Summary: pjproject, built for this gateway\nLicense: {_LICENSE}\n"
    )
    described = f"Wheel-Version: 1.0\nGenerator: tools/setup\nRoot-Is-Purelib: false\nTag: {tag}\n"
    contents: list[tuple[str, bytes, int]] = [
        (str(path.relative_to(package.parent)), path.read_bytes(), path.stat().st_mode & 0o777)
        for path in sorted(package.rglob("*"))
        if path.is_file()
    ]
    contents.append((f"{folder}/METADATA", metadata.encode(), 0o644))
    contents.append((f"{folder}/WHEEL", described.encode(), 0o644))
    record = [_record_line(name, data) for name, data, _ in contents]
    record.append(f"{folder}/RECORD,,")
    contents.append((f"{folder}/RECORD", "\n".join([*record, ""]).encode(), 0o644))
    partial = target.with_name(target.name + ".part")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data, mode in contents:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = (0o100000 | (0o755 if mode & 0o100 else 0o644)) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    partial.rename(target)


def _record_line(name: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}"
