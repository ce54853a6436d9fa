"""Owns reading the dialplan again, over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Protocol

from gateway.api.operations import Asked, Operation
from gateway.api.problems import RequestError
from gateway.config.document import Problem
from gateway.config.identity import Scope
from gateway.contract.dialplan import Changes
from gateway.errors import Blame, Verdict

PATH = "/v1/dialplan/reload"
TAG = "dialplan"
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


class ReloadEndpoint:
    """The operations."""

    def __init__(self, reload: Callable[[str], Awaitable[Reload]]) -> None:
        """reload: reads the dialplan again; its argument says why, for the log."""
        self._reload = reload

    def operations(self) -> list[Operation]:
        """All of them."""
        return [
            Operation(
                "POST", PATH, "reloadDialplan", "Read the dialplan again", TAG,
                Scope.DIALPLAN_WRITE, self.reload, answer=Changes, problems=(NOT_USED,),
            )
        ]  # fmt: skip

    async def reload(self, _asked: Asked) -> Changes:
        """What changed; or 422 with every located problem, and nothing has changed. Calls that live
        keep the dialplan that they began with."""
        done = await self._reload("the API")
        if done.problems:
            raise RequestError(
                NOT_USED, more={"problems": [asdict(found) for found in done.problems]}
            )
        return Changes(changes=list(done.differences()))
