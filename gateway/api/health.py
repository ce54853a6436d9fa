"""`/healthz`: the process answers; `/readyz`: it takes new calls."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from gateway.api.problems import problem
from gateway.api.services import Services
from gateway.errors import SHUTTING_DOWN, Blame, Verdict

_NO_STORE = {"Cache-Control": "no-store"}


class Health:
    """Health of the node as load balancers ask for it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.draining = False

    async def healthz(self, request: web.Request) -> web.Response:
        """200 as long as the event loop runs."""
        return web.json_response({"status": "ok"}, headers=_NO_STORE)

    async def readyz(self, request: web.Request) -> web.Response:
        """200, or 503 with the reason while new calls cannot be taken."""
        if self.draining:
            return problem(SHUTTING_DOWN)
        why = self._services.not_ready()
        if why is not None:
            unavailable = HTTPStatus.SERVICE_UNAVAILABLE
            return problem(Verdict("not_ready", 503, unavailable, 41, Blame.GATEWAY, why))
        return web.json_response({"status": "ready"}, headers=_NO_STORE)
