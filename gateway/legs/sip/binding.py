"""The one door to pjsua2, and what its Python binding does not say by itself."""

from __future__ import annotations

import ctypes

import pjgw.pjsua2 as pj  # type: ignore[import-untyped,unused-ignore]

__all__ = ["describe_error", "ioqueue_descriptor", "pj", "set_log_level", "shut_down_srtp"]


def set_log_level(level: int) -> None:
    """pjlib's log level, which pjsua2 sets in `libInit` only; 0 is silence."""
    _libraries().pj_log_set_level(level)


def shut_down_srtp() -> None:
    """To be called after `libDestroy`: where pjmedia was configured without finding
    `srtp_shutdown` it leaves libsrtp up, and the next `libInit` of the process fails on it.
    """
    shutdown = getattr(_libraries(), "srtp_shutdown", None)
    if shutdown is not None:
        shutdown()  # harmless when pjmedia has done it


def _libraries() -> ctypes.CDLL:
    """The extension module and, through it, the pjproject libraries that it is linked with."""
    return ctypes.CDLL(pj._pjsua2.__file__)


def describe_error(error: pj.Error) -> str:
    """What went wrong, in one line. The error itself must not be kept: its traceback holds calls,
    and those may be freed on the SIP thread only.
    """
    return f"{error.title}: {error.reason}" if error.reason else str(error.title)


def ioqueue_descriptor(endpoint: pj.Endpoint) -> int:
    """The epoll descriptor of the SIP sockets: readable when `libHandleEvents` has work.

    pjlib gives the address of the descriptor (`pj_ioqueue_get_os_handle`, epoll back end).
    """
    return ctypes.c_int.from_address(int(endpoint.libGetSipIoqueueHandle())).value
