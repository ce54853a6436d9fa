"""Owns changing the dialplan of a running node: checked whole, compared, swapped at once.

A file that is not good changes nothing. Calls that live keep the plan that they started with.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
import watchfiles

from gateway.app.files import load_plan
from gateway.config.document import ConfigError, Problem
from gateway.config.model import NodeConfig
from gateway.dialplan import Plan
from gateway.dialplan.diff import Diff, diff

_log = structlog.get_logger(__name__)

LOOK_AGAIN = 5000  # milliseconds
VOLUME_LINK = "..data"
"""What Kubernetes moves in place when a mounted ConfigMap changes."""
MAX_LOGGED = 20
"""Lines of a diff, or problems, that one log entry tells."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What came of a reload: `problems` (nothing changed), or what is different now."""

    changes: Diff | None
    problems: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the file is in force."""
        return not self.problems

    def differences(self) -> Sequence[str]:
        """What is different now, a line each."""
        return [] if self.changes is None else self.changes.lines()


class PlanReloader:
    """Reloads one dialplan file. Belongs to the asyncio thread; reading happens in another."""

    def __init__(
        self,
        file: Path,
        config: NodeConfig,
        plan: Plan,
        use: Callable[[Plan], None],
        programs: frozenset[str] = frozenset(),
    ) -> None:
        self._file = file
        self._config = config
        self._programs = programs
        self._plan = plan
        self._use = use
        self._one_at_a_time = asyncio.Lock()
        self._seen = _stamp(file)

    async def reload(self, reason: str) -> Reloaded:
        """Reads the file again, and uses it if all of it is good. Raises nothing but bugs."""
        async with self._one_at_a_time:
            self._seen = _stamp(self._file)
            try:
                plan = await asyncio.to_thread(load_plan, self._file, self._config, self._programs)
            except ConfigError as error:
                told = [str(problem) for problem in error.problems[:MAX_LOGGED]]
                _log.error(
                    "dialplan.refused", reason=reason, problems=told, count=len(error.problems)
                )
                return Reloaded(None, error.problems)
            changes = await asyncio.to_thread(diff, self._plan, plan)
            self._plan = plan
            self._use(plan)
            lines = changes.lines()
            _log.info(
                "dialplan.reloaded", reason=reason, rules=len(plan.rules), changes=len(lines),
                diff=lines[:MAX_LOGGED],
            )  # fmt: skip
            return Reloaded(changes)

    async def watch(self, changes: AsyncIterator[object] | None = None) -> None:
        """Reloads whenever the file is another one. Runs until cancelled.

        The directory is watched, not the file: editors and volume mounts put a new one in place.
        Every LOOK_AGAIN the file is looked at in any case: a watch sees nothing of what happened
        before it was there, nor of network file systems.
        """
        names = {self._file.name, VOLUME_LINK}
        source = changes or watchfiles.awatch(
            self._file.parent,
            watch_filter=lambda _, path: Path(path).name in names,
            recursive=False,
            rust_timeout=LOOK_AGAIN,
            yield_on_timeout=True,
        )
        try:
            async for _ in source:
                stamp = _stamp(self._file)
                if stamp is not None and stamp != self._seen:
                    await self.reload("the file changed")
        except (OSError, RuntimeError) as error:  # no more watches on this machine, for example
            _log.warning("dialplan.not_watched", reason=str(error), remedy="use SIGHUP")


def _stamp(file: Path) -> tuple[int, ...] | None:
    """Tells two versions of the file apart; None: it is not there, perhaps just being replaced."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
