"""Minutes of a day in both databases: across starts, crashes, nodes and midnight."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from gateway.app.minutes import DayMinutes
from gateway.clock import Instant
from gateway.config.identity import Caps
from gateway.errors import DATABASE_FAILED, GatewayError
from gateway.identity.ledger import Ledger, Permit
from gateway.identity.values import Grant
from gateway.storage.database import Database
from gateway.storage.day_use import DayUse
from gateway.storage.tables import day_use

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
ALICE = (Grant.of("user:default/alice", Caps(minutes_per_day=10)),)


class Time:
    """Both clocks, moved by the test. Seconds after noon."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> Instant:
        return Instant(5000 + self.passed, NOON + timedelta(seconds=self.passed))


class Node:
    """What a process of a node counts, and keeps."""

    def __init__(self, database: Database, time: Time, name: str = "here") -> None:
        self.ledger, self.time = Ledger(), time
        self.minutes = DayMinutes(self.ledger, DayUse(database, name), time)

    def admit(self) -> Permit:
        return self.ledger.admit(ALICE, self.time.now())

    async def call(self, seconds: float) -> None:
        """A call of Alice's, from beginning to end."""
        permit = self.admit()
        self.time.passed += seconds
        self.ledger.release(permit, self.time.now())

    @property
    def left(self) -> float:
        """Seconds that another call of Alice's could last."""
        permit = self.admit()
        left = self.ledger.seconds_left(permit, self.time.now())
        self.ledger.release(permit, self.time.now(), placed=False)
        return left

    def refuses(self) -> bool:
        with pytest.raises(GatewayError) as refused:
            self.admit()
        return refused.value.verdict.code == "minutes_used_up"


async def started(database: Database, time: Time, name: str = "here") -> Node:
    node = Node(database, time, name)
    await node.minutes.exchange()
    return node


async def test_a_restart_forgets_nothing(database: Database) -> None:
    time = Time()
    for used in (250.25, 100, 249.75):
        node = Node(database, time)
        await node.minutes.start()
        await node.call(used)
        await node.minutes.stop()
        time.passed += 5
    assert (await started(database, time)).refuses()


async def test_a_crash_costs_what_was_not_yet_written(database: Database) -> None:
    time = Time()
    node = await started(database, time)
    await node.call(200)
    node.admit()
    time.passed += 100
    await node.minutes.exchange()  # and of the live call no more is known
    time.passed += 1
    assert (await started(database, time)).left == pytest.approx(300)
    again = await started(database, time)
    await again.call(60)
    await again.minutes.exchange()
    await again.minutes.exchange()
    assert (await started(database, time)).left == pytest.approx(240)


async def test_the_next_day_begins_with_all_minutes(database: Database) -> None:
    time = Time()
    node = await started(database, time)
    time.passed = 12 * 3600 - 300
    node.admit()
    time.passed += 200
    await node.minutes.exchange()
    assert (await started(database, time)).left == pytest.approx(400)
    time.passed += 160  # the call has lasted for a minute of the new day
    assert (await started(database, time)).left == pytest.approx(600)
    await node.minutes.exchange()
    assert (await started(database, time)).left == pytest.approx(540)


async def test_nodes_of_one_database_count_together(database: Database) -> None:
    time = Time()
    first, second = [await started(database, time, name) for name in ("one", "two")]
    await first.call(200)
    second.admit()
    time.passed += 300
    for node in (first, second, first):
        await node.minutes.exchange()
    assert first.left == pytest.approx(100)
    time.passed += 60
    await second.minutes.exchange()
    await first.minutes.exchange()
    assert first.left == pytest.approx(40)
    # Under another name, as a container may have it, nobody starts anew.
    assert (await started(database, time, "three")).left == pytest.approx(40)
    time.passed += 60
    await second.minutes.exchange()
    await first.minutes.exchange()
    assert first.refuses()


async def test_a_database_that_is_gone_for_a_while_loses_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise GatewayError(DATABASE_FAILED)

    time = Time()
    node = await started(database, time)
    for method in ("write", "read"):
        await node.call(100)
        with monkeypatch.context() as gone:
            gone.setattr(DayUse, method, fails)
            with pytest.raises(GatewayError):
                await node.minutes.exchange()
    await node.minutes.exchange()
    assert (await started(database, time)).left == pytest.approx(400)


async def test_a_day_that_begins_without_its_database_is_not_written_over(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise GatewayError(DATABASE_FAILED)

    time = Time()
    await (first := await started(database, time)).call(100)
    await first.minutes.exchange()
    again = Node(database, time)
    with monkeypatch.context() as gone:
        gone.setattr(DayUse, "read", fails)
        with pytest.raises(GatewayError):
            await again.minutes.start()
    await again.call(50)
    await again.minutes.exchange()
    assert (await started(database, time)).left == pytest.approx(450)


async def test_rows_name_nobody_and_go_when_their_day_is_over(database: Database) -> None:
    time = Time()
    node = await started(database, time)
    await node.call(60)
    await node.minutes.exchange()
    row = await database.read(lambda connection: connection.execute(select(day_use)).one())
    assert (row.node, row.day, row.seconds) == ("here", NOON.date(), 60)
    assert "alice" not in str(row)
    time.passed += 48 * 3600
    await node.minutes.exchange()
    count = select(func.count()).select_from(day_use)
    assert await database.read(lambda connection: connection.scalar(count)) == 0
