"""Owns what a program, or a command from outside, may do with its call: ports, keys, players."""

from __future__ import annotations

import asyncio
import os.path
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gateway.calls import inputs
from gateway.calls.audio import CallAudio
from gateway.calls.programs.playing import Players
from gateway.calls.programs.routing import Routing
from gateway.clock import Clock
from gateway.dialplan import DialOut
from gateway.errors import FORBIDDEN, MEDIA_FAILED, GatewayError, Verdict
from gateway.events import DigitDropped
from gateway.ids import CallId, LegId
from gateway.media.clips import Clips, is_url
from gateway.media.pcm import Pcm
from gateway.media.prompts import Prompts
from gateway.ports import MediaPort
from gateway.verbs import Dial, Record, Side, Sides


@dataclass(frozen=True, slots=True)
class Key:
    """A key was pressed, or (`duration_ms` set) let go."""

    digit: str = field(repr=False)
    duration_ms: int | None = None


KeyQueue = asyncio.Queue[Key | asyncio.Task[None]]
"""Keys of one side, and prompt tasks that ended (see performing.py)."""


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What a program may know of its call. Numbers are what rules saw, not what is safe to dial."""

    call: CallId
    caller: str = field(repr=False)
    callee: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Dialled:
    """What became of a dial. `talk_ms` None: nobody took the call."""

    verdict: Verdict
    talk_ms: int | None = None

    @property
    def status(self) -> str:
        """`answered`, or the verdict's code: `busy`, `declined`, `no_answer`, ..."""
        return self.verdict.code if self.talk_ms is None else "answered"

    @property
    def variables(self) -> Mapping[str, str]:
        """What a script remembers of it."""
        return {"dial_status": self.status, "dial_code": str(self.verdict.sip_status)}


class Control(Protocol):
    """The call that a program is in charge of; supervisor.py has it."""

    @property
    def programs(self) -> Mapping[str, Program]:
        """Call programs by name."""
        ...

    async def port(self, side: Side) -> MediaPort:
        """The port of a side, once it has audio; answers the call if that is needed.

        Raises GatewayError(BAD_REQUEST): there is no callee.
        """
        ...

    def leg(self, side: Side) -> LegId:
        """The leg of a side. Raises GatewayError(BAD_REQUEST): there is no callee."""
        ...

    def request(self, event: inputs.Input) -> None:
        """Asks the call's machine for something."""
        ...

    async def dial(self, dial: DialOut) -> Dialled:
        """Dials, and waits for the end of it; cancelling it ends the dial."""
        ...

    async def answered(self) -> None:
        """Answers the call, and returns when it is."""
        ...

    async def joined(self, other: str) -> None:
        """Joins the caller with another call's, and returns when that call is over.

        Raises GatewayError(NOT_FOUND, BAD_REQUEST): there is no such call, or it cannot be joined.
        """
        ...

    async def record(self, verb: Record) -> str:
        """Starts, stops, pauses or resumes the recording; returns its id. Raises GatewayError."""
        ...

    def call_out(self, dial: Dial, program: str, variables: Mapping[str, str], after: float) -> str:
        """Has the gateway call somebody on behalf of this call's caller, `after` seconds from now;
        returns the new call's id. Raises GatewayError; see CallRegistry.call_out."""
        ...

    def gather_begins(self, side: Side, secure: bool) -> LegId:
        """Digits of a side's leg do not reach the other side from now on. `secure`: they are
        masked, and recordings silent. Returns the leg, for `gather_ends`."""
        ...

    def gather_ends(self, leg: LegId) -> None:
        """Undoes gather_begins, also when the leg is gone; after a secure one it is kept masked for
        a moment."""
        ...


class Asks(Protocol):
    """A customer's server (gateway.web.webhooks.WebhookClient)."""

    async def ask(
        self,
        url: str,
        payload: Mapping[str, Any],
        *,
        seconds: float | None = None,
        attempts: int | None = None,
    ) -> Any:
        """What the server answers to `payload`, as JSON. Raises GatewayError."""
        ...


class NoServer:
    """Asks nobody."""

    async def ask(
        self,
        url: str,
        payload: Mapping[str, Any],
        *,
        seconds: float | None = None,
        attempts: int | None = None,
    ) -> Any:
        """Always raises GatewayError(FORBIDDEN)."""
        raise GatewayError(FORBIDDEN, "This node asks no servers")


@dataclass(frozen=True, slots=True)
class Sounds:
    """Where a program's speech and audio files come from. `folder`: of the files by name."""

    prompts: Prompts
    clips: Clips
    folder: Path

    async def file(self, source: str) -> Pcm:
        """A file of the folder, or an http or https URL. Raises GatewayError."""
        if is_url(source):
            return await self.clips.load(source)
        return await self.clips.load(self._inside(source))

    def _inside(self, source: str) -> Path:
        folder = os.path.abspath(self.folder)
        file = os.path.normpath(os.path.join(folder, source))
        if os.path.commonpath((folder, file)) != folder:
            raise GatewayError(FORBIDDEN, f"{source!r} is not in the node's folder of sounds")
        return Path(file)


class ProgramContext:
    """One program, or one command, on one call. `close` is called before it is cancelled."""

    def __init__(
        self,
        control: Control,
        audio: CallAudio,
        sounds: Sounds,
        webhooks: Asks,
        clock: Clock,
        facts: CallFacts,
        routing: Routing,
        variables: dict[str, str],
    ) -> None:
        self.control = control
        self.audio = audio
        self.sounds = sounds
        self.webhooks = webhooks
        self.clock = clock
        self.facts = facts
        self.routing = routing
        self.variables = variables
        self.keys: Mapping[Side, KeyQueue] = {side: asyncio.Queue() for side in Side}
        self.secret: set[str] = set()  # variables that no customer's server is told
        self.performed = 0  # verbs, by this context
        self.nested = 0  # answers of servers that are being performed, one within another
        self._loops: set[MediaPort] = set()
        self._players = Players(audio)

    async def ports(self, sides: Sides) -> Sequence[MediaPort]:
        """The ports of one side or both; see Control.port."""
        if sides is Sides.BOTH:
            return [await self.control.port(side) for side in Side]
        return [await self.control.port(Side(sides))]

    async def everybody(self) -> Sequence[MediaPort]:
        """The caller's port, and the callee's if there is one."""
        ports = [await self.control.port(Side.CALLER)]
        with suppress(GatewayError):
            ports.append(await self.control.port(Side.CALLEE))
        return ports

    def loop_back(self, port: MediaPort) -> None:
        """Who is at `port` hears itself."""
        self._loops.add(port)
        self.audio.connect(port, port)

    def send_digit(
        self, side: Side, port: MediaPort, digit: str, duration_ms: int, gap_ms: int = 70
    ) -> None:
        """Queues a tone. One that cannot be sent (the phone takes no such event, or too many wait)
        is a fact for the log, not the end of the call."""
        try:
            self.audio.send_digit(port, digit, duration_ms, gap_ms)
        except GatewayError as error:
            dropped = DigitDropped(self.control.leg(side), digit, error.verdict.text)
            self.control.request(inputs.Observed(dropped))

    async def play(self, pcm: Pcm, ports: Sequence[MediaPort]) -> None:
        """Plays to `ports` and returns at the end; cancelling it stops the sound at once.

        Raises GatewayError(MEDIA_FAILED) when the end never comes.
        """
        try:
            await self._players.play(pcm, ports)
        except TimeoutError:
            raise GatewayError(MEDIA_FAILED, "a prompt did not come to its end") from None

    def close(self) -> None:
        """Gives back everything that the program opened; twice does nothing."""
        self._players.close()
        while self._loops:
            port = self._loops.pop()
            self.audio.disconnect(port, port)


Program = Callable[[ProgramContext], Awaitable[Verdict]]
"""Returns how the call ended; the call ends then. Cancelled when the caller hangs up."""
