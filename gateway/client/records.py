"""Owns the client's methods for records of calls and for recordings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import TypedDict, Unpack

from gateway.client.operation import PAGE, operation, paged
from gateway.client.transport import CHUNK, Asking, Transport, place
from gateway.contract.recordings import Recording, RecordingsPage, RecordingsQuery
from gateway.contract.records import (
    CallRecord,
    CallRecords,
    DeletedRecords,
    RecordFilters,
    RecordsQuery,
)
from gateway.terms import CdrState


class Filters(TypedDict, total=False):
    """Which records: all that is given must hold."""

    since: datetime | None
    until: datetime | None
    caller: str | None
    callee: str | None
    trunk: str | None
    code: str | None
    state: CdrState | None


class Cdrs:
    """Records of calls. Every method raises GatewayApiError; moments without a zone are a
    ValueError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @operation("listRecords")
    def list(self, **filters: Unpack[Filters]) -> AsyncIterator[CallRecord]:
        """The records, newest first, as many as are taken."""
        wanted = written(filters)

        async def page(cursor: str | None) -> tuple[Sequence[CallRecord], str | None]:
            query = RecordsQuery.model_validate({**wanted, "limit": PAGE, "cursor": cursor})
            asking = Asking("GET", place("cdrs"), query=query)
            found = await self._transport.ask(asking, CallRecords)
            return found.calls, found.cursor

        return paged(page)

    @operation("exportRecords")
    async def csv(self, **filters: Unpack[Filters]) -> AsyncIterator[bytes]:
        """The records as CSV (RFC 4180), column names first, piece by piece."""
        query = RecordFilters.model_validate(written(filters))
        asking = Asking("GET", place("cdrs.csv"), query=query)
        async with self._transport.streamed(asking) as response:
            async for chunk in response.content.iter_chunked(CHUNK):
                yield chunk

    @operation("getRecord")
    async def get(self, call: str) -> CallRecord:
        """The record of one call."""
        return await self._transport.ask(Asking("GET", place("cdrs", call)), CallRecord)

    @operation("deleteRecord")
    async def delete(self, call: str) -> None:
        """Deletes the record of one call, and its legs'."""
        await self._transport.tell(Asking("DELETE", place("cdrs", call)))

    @operation("deleteRecords")
    async def delete_all(self, **filters: Unpack[Filters]) -> DeletedRecords:
        """Deletes all records that match; at least one filter has to be there."""
        query = RecordFilters.model_validate(written(filters))
        asking = Asking("DELETE", place("cdrs"), query=query)
        return await self._transport.ask(asking, DeletedRecords)


class Recordings:
    """Recordings. Every method raises GatewayApiError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @operation("listRecordings")
    def list(
        self,
        *,
        call: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncIterator[Recording]:
        """The recordings, newest first, also those that go on."""
        wanted = {"call": call, **written({"since": since, "until": until})}

        async def page(cursor: str | None) -> tuple[Sequence[Recording], str | None]:
            query = RecordingsQuery.model_validate({**wanted, "limit": PAGE, "cursor": cursor})
            asking = Asking("GET", place("recordings"), query=query)
            found = await self._transport.ask(asking, RecordingsPage)
            return found.recordings, found.cursor

        return paged(page)

    @operation("getRecording")
    async def get(self, name: str) -> Recording:
        """What is known about a recording; `name` is what the verb `record` gave."""
        return await self._transport.ask(Asking("GET", place("recordings", name)), Recording)

    @operation("getRecordingAudio")
    async def audio(self, name: str, *, start: int = 0) -> AsyncIterator[bytes]:
        """The file from byte `start` on, piece by piece: a download that broke off goes on with
        what it has (RFC 9110 14.2)."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        asking = Asking("GET", place("recordings", name, "audio"))
        async with self._transport.streamed(asking, headers) as response:
            async for chunk in response.content.iter_chunked(CHUNK):
                yield chunk

    @operation("deleteRecording")
    async def delete(self, name: str) -> None:
        """Deletes a recording, with all that is known about it."""
        await self._transport.tell(Asking("DELETE", place("recordings", name)))


def written(filters: Filters) -> dict[str, object]:
    """The filters as the API reads them. Raises ValueError: a moment without a zone."""
    found: dict[str, object] = dict(filters)
    for name in ("since", "until"):
        moment = found.get(name)
        if isinstance(moment, datetime):
            if moment.tzinfo is None:
                raise ValueError(f"{name} has no zone")
            found[name] = moment.isoformat()
    return found
