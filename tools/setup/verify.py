"""Proves that a built `pjgw` is what the gateway needs: run by its interpreter, on its path.

As a program it prints one JSON object of what it found; the build and the tests judge that.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.setup.progress import SetupError

# What a browser may negotiate (RFC 8827 6.5, RFC 7714) by the names that PJMEDIA gives it.
CRYPTO = ("AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM", "AEAD_AES_256_GCM")
SYMBOLS = (
    "pjsua_var",
    "pjsua_conf_add_port",
    "pjsua_conf_remove_port",
    "pjsua_conf_connect",
    "pjsua_conf_disconnect",
    "pjsua_conf_get_port_info",
    "pjsua_conf_adjust_rx_level",
    "pjsua_conf_adjust_tx_level",
)


class _Text(ctypes.Structure):  # pj_str_t
    _fields_ = (("ptr", ctypes.c_char_p), ("slen", ctypes.c_ssize_t))


class _Crypto(ctypes.Structure):  # pjmedia_srtp_crypto
    _fields_ = (("key", _Text), ("name", _Text), ("flags", ctypes.c_uint))


def examine() -> dict[str, Any]:
    """Return what the importable `pjgw` can do; raises what its import raises."""
    import pjgw
    from pjgw import pjsua2

    folder = Path(pjgw.lib_dir())
    pjsua = ctypes.CDLL(str(folder / "libpjsua.so.2"))
    media = ctypes.CDLL(str(folder / "libpjmedia.so.2"))
    count = ctypes.c_uint(64)
    found = (_Crypto * count.value)()
    status = media.pjmedia_srtp_enum_crypto(ctypes.byref(count), found)
    endpoint = pjsua2.Endpoint()
    endpoint.libCreate()
    version = endpoint.libVersion().full
    endpoint.libDestroy(pjsua2.PJSUA_DESTROY_NO_NETWORK)
    return {
        "version": version,
        "crypto": [_name(found[i]) for i in range(count.value)] if status == 0 else [],
        "symbols": [name for name in SYMBOLS if hasattr(pjsua, name)],
        "mapped": sorted(_mapped(folder)),
    }


def _name(crypto: _Crypto) -> str:
    raw = crypto.name.ptr or b""
    return raw[: crypto.name.slen].decode()


def _mapped(folder: Path) -> set[str]:
    """Return the pjproject libraries of this process that do not come from `folder`."""
    outside: set[str] = set()
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        path = Path(line.split(maxsplit=5)[-1])
        if path.name.startswith("libpj") and path.parent != folder:
            outside.add(str(path))
    return outside


def check(python: Path | str, search_path: Path | None, root: Path) -> None:
    """Examine the `pjgw` that `python` imports; raise `SetupError` for what it lacks."""
    path = [str(root)] if search_path is None else [str(search_path), str(root)]
    result = subprocess.run(
        [str(python), "-m", "tools.setup.verify"],
        check=False,
        capture_output=True,
        text=True,
        cwd=root,
        env={"PYTHONPATH": ":".join(path), "PATH": "/usr/bin:/bin"},
    )
    remedy = "remove the cached wheel (make clean-cache) and run the set-up again"
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SetupError(f"the built pjgw cannot be imported: {reason}", remedy)
    report = json.loads(result.stdout.splitlines()[-1])
    problems = [f"no SRTP suite {name}" for name in CRYPTO if name not in report["crypto"]]
    problems += [f"no symbol {name}" for name in SYMBOLS if name not in report["symbols"]]
    problems += [f"loads {name}" for name in report["mapped"]]
    if problems:
        raise SetupError(f"the built pjgw is wrong: {', '.join(problems)}", remedy)


if __name__ == "__main__":
    print(json.dumps(examine()))
    sys.exit(0)
