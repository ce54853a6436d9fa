"""Which web pages may use the API: the Origin check, and the Host check of demo mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

from gateway.errors import FORBIDDEN, Blame, GatewayError, Verdict

MISDIRECTED = Verdict(
    "misdirected", 403, 421, 21, Blame.CALLER, "This gateway does not answer for that host name"
)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 9.2.1


@dataclass(frozen=True, slots=True)
class OriginPolicy:
    """`allowed`: origins besides our own, as `https://app.example`. `loopback_only`: demo mode."""

    allowed: Sequence[str] = ()
    loopback_only: bool = False

    def check(self, request: web.Request) -> None:
        """Raises GatewayError for a request that a foreign page caused.

        Without Origin no browser sent it (RFC 6454 7.3), or it cannot change anything.
        """
        # A foreign name that resolves to loopback (DNS rebinding) makes its page same-origin;
        # only the Host field gives it away.
        if self.loopback_only and not _is_loopback(request.host):
            raise GatewayError(MISDIRECTED)
        origin = request.headers.get("Origin")
        upgrades = "upgrade" in request.headers.get("Connection", "").lower()
        if origin is None or (request.method in _SAFE_METHODS and not upgrades):
            return
        # Only the authority is compared: behind a TLS proxy our own scheme is not the browser's.
        if origin not in self.allowed and _authority(origin) != request.host.lower():
            raise GatewayError(FORBIDDEN, "Pages of this origin may not use the gateway")


def _authority(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()  # empty for the opaque origin "null"
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 6.3
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
