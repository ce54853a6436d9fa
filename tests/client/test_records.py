"""The client against a running API: records of calls, recordings, metrics."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta, timezone

import pytest

from gateway.client import GatewayApiError, GatewayClient
from gateway.terms import CdrState
from tests.api.test_recordings import AUDIO, put
from tests.client.conftest import Clients
from tests.storage.test_queries import record, store


async def test_records_are_found_exported_and_deleted(
    clients: Clients, gateway: GatewayClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.client.records.PAGE", 2)
    await store(
        clients.stand.database,
        *(record(n) for n in range(5)),
        record(5, code="busy"),
        record(6, project="sales"),
    )
    found = [call async for call in gateway.cdrs.list()]
    assert [call.id for call in found] == [f"c-00{n}" for n in (5, 4, 3, 2, 1, 0)]
    assert found[0].state is CdrState.ENDED
    assert found[0].legs[0].quality is not None
    assert found[0].legs[0].quality.mos == 4.21
    berlin = timezone(timedelta(hours=2))
    since = datetime(2030, 6, 1, 14, 4, tzinfo=berlin)
    assert [call.id async for call in gateway.cdrs.list(since=since)] == ["c-005", "c-004"]
    assert [call.id async for call in gateway.cdrs.list(code="busy")] == ["c-005"]
    text = b"".join([chunk async for chunk in gateway.cdrs.csv(code="busy")]).decode()
    assert [row["id"] for row in csv.DictReader(io.StringIO(text))] == ["c-005"]
    assert (await gateway.cdrs.get("c-005")).code == "busy"
    await gateway.cdrs.delete("c-005")
    assert (await gateway.cdrs.delete_all(until=since)).deleted == 4
    assert [call.id async for call in gateway.cdrs.list()] == ["c-004"]
    with pytest.raises(GatewayApiError, match="422 unprocessable"):
        await gateway.cdrs.delete_all()
    with pytest.raises(ValueError, match="since has no zone"):
        gateway.cdrs.list(since=datetime(2030, 6, 1))


async def test_recordings_are_found_fetched_and_deleted(
    clients: Clients, gateway: GatewayClient
) -> None:
    put(clients.recordings, "c-1-1", 1)
    put(clients.recordings, "c-2-1", 2)
    put(clients.recordings, "c-9-1", 3, project="sales")
    assert [each.name async for each in gateway.recordings.list()] == ["c-2-1", "c-1-1"]
    noon = datetime(2030, 6, 1, 12, tzinfo=UTC)
    only = gateway.recordings.list(call="c-2", since=noon)
    assert [each.name async for each in only] == ["c-2-1"]
    assert (await gateway.recordings.get("c-1-1")).seconds == 2.5
    pieces = [piece async for piece in gateway.recordings.audio("c-1-1")]
    assert b"".join(pieces) == AUDIO
    rest = [piece async for piece in gateway.recordings.audio("c-1-1", start=1000)]
    assert b"".join(rest) == AUDIO[1000:]
    await gateway.recordings.delete("c-1-1")
    for name in ("c-1-1", "c-9-1", "../secret"):
        with pytest.raises(GatewayApiError, match="404 not_found"):
            await anext(gateway.recordings.audio(name))


async def test_a_timeline_has_what_was_asked_for(clients: Clients) -> None:
    gateway = await clients.client()
    with pytest.raises(GatewayApiError, match="404"):
        await gateway.calls.timeline("c-none")
    with pytest.raises(GatewayApiError, match="404"):
        await gateway.calls.ladder("c-none")
