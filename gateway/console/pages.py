"""Owns how pages are served: the files of `static`, with a strict Content-Security-Policy."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

STATIC = Path(__file__).parent / "static"

HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",  # covers the WebSocket of the same host (CSP3 6.7.2.8)
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",  # asked for again each time, and mostly answered with 304
}

# The machine's MIME table is not asked: it may call JavaScript text/plain.
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def files() -> list[web.RouteDef]:
    """Routes: `/` is the phone, `/static/NAME` what pages are made of. Only files that are there
    get a route."""
    routes = [web.get("/", _serve(STATIC / "index.html"))]
    routes += [
        web.get(f"/static/{path.name}", _serve(path))
        for path in sorted(STATIC.iterdir())
        if path.suffix in TYPES and path.name != "index.html"
    ]
    return routes


def _serve(path: Path) -> Handler:
    headers = {**HEADERS, "Content-Type": TYPES[path.suffix]}

    async def serve(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(path, headers=headers)

    return serve
