"""Owns what a crash left: events that only the journal has, calls without an end, their records.

At the end of it the database has every event that was ever appended, each call's last one is
`call.ended`, and the record of each call follows from its events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import structlog
from sqlalchemy import select

from gateway.clock import Instant
from gateway.errors import INTERRUPTED
from gateway.events import CallAnswered, CallEnded, Event
from gateway.ids import CallId
from gateway.storage.cdr import KEEP, Cdr, CdrFold, Numbers
from gateway.storage.database import Database
from gateway.storage.event_log import Envelope
from gateway.storage.event_writer import BATCH, EventWriter, last_sequence, published_from
from gateway.storage.journal import Journal
from gateway.storage.published import Published, publish
from gateway.storage.records import write_records
from gateway.storage.tables import calls, events
from gateway.terms import CdrState

READ = 20_000
CALLS = 100
"""Whose events are in memory at once."""
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _State:
    last: int
    died: Instant | None = None


async def recover(
    database: Database, node: str, journal: Journal, writer: EventWriter, numbers: Numbers = KEEP
) -> int:
    """Completes what the process before this one left; returns its last sequence number, the ends
    of calls included. Doing it twice changes nothing. Raises GatewayError(DATABASE_FAILED)."""
    committed = last = await last_sequence(database, node)
    writer.resume(last)
    touched: set[CallId] = set()
    after = 0
    while found := await asyncio.to_thread(journal.read, after, READ):
        touched.update(event.call for event in found)
        missing = [event for event in found if event.sequence > committed]
        for start in range(0, len(missing), BATCH):
            await writer.store(missing[start : start + BATCH])
        last = max(last, found[-1].sequence)
        after = found[-1].sequence
    touched |= await _live(database, node)
    state = _State(last, await _end_of(database, node))
    for some in _grouped(sorted(touched), CALLS):
        await _complete(database, node, writer, some, state, _as_kept(numbers))
    await asyncio.to_thread(journal.settle, state.last, all_of_it=True)
    if touched or last > committed:
        _log.warning(
            "events.recovered",
            events=last - committed,
            calls=len(touched),
            interrupted=state.last - last,
        )
    writer.resume(state.last)
    return state.last


async def _live(database: Database, node: str) -> set[CallId]:
    """Calls whose records are open."""
    query = select(calls.c.id).where(calls.c.node == node, calls.c.state == CdrState.LIVE.value)
    return await database.read(
        lambda connection: {CallId(call) for call in connection.scalars(query)}
    )


async def _end_of(database: Database, node: str) -> Instant | None:
    """When the node was last known to live: no call can have ended before, that has no end."""
    query = (
        select(events.c.at, events.c.monotonic)
        .where(events.c.node == node)
        .order_by(events.c.sequence.desc())
        .limit(1)
    )
    row = await database.row(query)
    return None if row is None else Instant(row.monotonic, row.at)


async def _complete(
    database: Database,
    node: str,
    writer: EventWriter,
    wanted: list[CallId],
    state: _State,
    numbers: Numbers,
) -> None:
    """Gives each of these calls its end, and its record."""
    histories = await _histories(database, node, wanted)
    ends: list[Published] = []
    for history in histories.values():
        final = history[-1]
        if isinstance(final.event, CallEnded):
            continue
        state.last += 1
        ended = _interrupted(history, state)
        history.append(ended)
        ends.append(publish(ended, numbers))
    if ends:
        await writer.store(ends)
    records = [_record(history, numbers) for history in histories.values()]
    if records:
        await database.write(lambda connection: write_records(connection, records, node))


async def _histories(
    database: Database, node: str, wanted: list[CallId]
) -> dict[CallId, list[Envelope]]:
    """The events of calls, in order; calls of which none is left are not in."""
    columns = (
        events.c.sequence, events.c.project, events.c.call, events.c.type, events.c.at,
        events.c.monotonic, events.c.data,
    )  # fmt: skip
    query = (
        select(*columns)
        .where(events.c.call.in_(wanted), events.c.node == node)
        .order_by(events.c.sequence)
    )
    found: dict[CallId, list[Envelope]] = {}
    history = await database.read(
        lambda connection: [published_from(*row) for row in connection.execute(query)]
    )
    for published in history:
        try:
            envelope = published.envelope()
        except ValueError as error:
            _log.warning("events.unknown", type=published.type, reason=str(error))
            continue
        found.setdefault(envelope.call, []).append(envelope)
    return found


def _interrupted(history: list[Envelope], state: _State) -> Envelope:
    """The end of a call that the crash left open: when the node was last known to live."""
    first, final = history[0], history[-1]
    died = state.died
    if died is None or died.monotonic < final.at.monotonic:
        died = final.at
    answered = next((item.at for item in history if isinstance(item.event, CallAnswered)), None)
    event: Event = CallEnded(
        INTERRUPTED, answered is not None, _ms(first.at, died), _ms(answered or died, died)
    )
    return Envelope(state.last, final.call, died, event, final.project)


def _ms(since: Instant, until: Instant) -> int:
    return max(round((until.monotonic - since.monotonic) * 1000), 0)


def _record(history: list[Envelope], numbers: Numbers) -> Cdr:
    found = CdrFold(history[0], numbers)
    for envelope in history[1:]:
        found.apply(envelope)
    return found.cdr


def _as_kept(numbers: Numbers) -> Numbers:
    """What was hidden when it was published is not hidden twice."""
    return numbers if numbers is KEEP else Numbers(lambda number: number or None, numbers.text)


def _grouped(found: list[CallId], size: int) -> Iterable[list[CallId]]:
    return (found[start : start + size] for start in range(0, len(found), size))
