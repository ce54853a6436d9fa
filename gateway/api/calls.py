"""The calls of this node as the API needs them: registry and event log as `ports.CallService`."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

import structlog

from gateway.api.gate import CallGate
from gateway.api.narrator import Narrator
from gateway.api.ports import Admission, BrowserLeg, CallSink, Tones, Unsubscribe
from gateway.api.tones import ToneSequence
from gateway.calls import Call, CallRegistry
from gateway.errors import GatewayError, Verdict
from gateway.events import CallEnded, CallRouted
from gateway.identity.values import Identity
from gateway.ids import CallId, LegId
from gateway.storage.event_log import EventsLost, Subscription

log = structlog.get_logger(__name__)


class BrowserCalls:
    """Starts, follows and ends calls for browsers."""

    def __init__(self, registry: CallRegistry, gate: CallGate) -> None:
        self._registry = registry
        self._gate = gate
        self._tones: dict[CallId, ToneSequence] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def admit(self, identity: Identity, to: str) -> Admission:
        """See ports.CallService."""
        return self._gate.browser(identity, to)

    async def place(self, leg: BrowserLeg, admission: Admission) -> CallId:
        """Starts a call, and waits until the dialplan has accepted it (no network is involved).

        Raises GatewayError when it did not, or could not dial; the leg is hung up then.
        """
        call = self._registry.begin(leg, admission.request)
        admission.follow(call.id)
        try:
            await _routed(call)
        except asyncio.CancelledError:
            call.hangup()
            raise
        if call.verdict is not None:
            raise GatewayError(call.verdict)
        return call.id

    def hangup(self, call: CallId, verdict: Verdict | None = None, by: LegId | None = None) -> None:
        """Ends a call; nothing happens if it is over already."""
        known = self._registry.calls.get(call)
        if known is not None:
            known.hangup(verdict, by)

    def subscribe(self, call: CallId, sink: CallSink) -> Unsubscribe:
        """Sends what happens to `call` to `sink`, beginning with what happened already."""
        subscription = self._registry.log.subscribe(since=0, call=call)
        task = self._spawn(_feed(subscription, sink))

        def unsubscribe() -> None:
            subscription.close()
            task.cancel()

        return unsubscribe

    def send_tones(self, call: CallId, leg: LegId, tones: Tones) -> None:
        """Treats `tones` as if `leg` had sent them as telephone-events.

        Raises GatewayError when the call is over or has no audio path.
        """
        known = self._registry.get(call)
        sequence = self._tones.get(call)
        if sequence is None:
            sequence = ToneSequence(partial(self._tones.__delitem__, call))
        sequence.add(partial(known.press, leg), tones)
        self._tones[call] = sequence

    async def close(self) -> None:
        """Stops following and sending; the calls themselves are the registry's to end."""
        for sequence in tuple(self._tones.values()):
            sequence.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _routed(call: Call) -> None:
    # What the dialplan refuses, and what cannot be dialled at all, has its verdict when the
    # routing event is read: both are part of the same step of the call.
    async with call.events() as events:
        async for item in events:
            if not isinstance(item, EventsLost) and isinstance(item.event, CallRouted | CallEnded):
                return


async def _feed(subscription: Subscription, sink: CallSink) -> None:
    narrator = Narrator()
    try:
        async with subscription:
            async for item in subscription:
                if isinstance(item, EventsLost):
                    log.warning("calls.events_lost", first=item.first, last=item.last)
                    continue
                update = narrator.tell(item.event)
                if update is not None:
                    sink(update)
    except Exception:  # task boundary: one client is not told, the call goes on
        log.exception("calls.feed_failed", call=subscription.call)
