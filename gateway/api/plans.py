"""Owns the dialplan over HTTP: reading it again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Protocol

from aiohttp import web

from gateway.api.identity import Authenticator
from gateway.api.problems import problem
from gateway.config.document import Problem
from gateway.config.identity import Scope
from gateway.errors import Blame, Verdict

PATH = "/v1/dialplan/reload"
NOT_USED = Verdict(
    "dialplan_refused", 500, 422, 95, Blame.CALLER, "The file is not good; nothing has changed"
)


class Reload(Protocol):
    """What came of reading the dialplan again."""

    @property
    def problems(self) -> Sequence[Problem]:
        """What is wrong with the file; none: it is in force."""
        ...

    def differences(self) -> Sequence[str]:
        """What is different now, a line each."""
        ...


class PlanEndpoint:
    """The routes."""

    def __init__(
        self, reload: Callable[[str], Awaitable[Reload]], authenticator: Authenticator
    ) -> None:
        """reload: reads the dialplan again; its argument says why, for the log."""
        self._reload = reload
        self._authenticator = authenticator

    def routes(self) -> list[web.RouteDef]:
        """The routes; other methods are 405."""
        return [web.post(PATH, self.reload)]

    async def reload(self, request: web.Request) -> web.Response:
        """POST: 200 with what changed, or 422 with every located problem."""
        identity = await self._authenticator.authenticate(request)
        self._authenticator.command(identity, Scope.DIALPLAN_WRITE)
        done = await self._reload("the API")
        if done.problems:
            return problem(NOT_USED, more={"problems": [asdict(found) for found in done.problems]})
        return web.json_response({"changes": list(done.differences())})
