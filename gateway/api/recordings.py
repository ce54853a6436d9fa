"""Owns recordings over HTTP: listed, shown, fetched in whole or in part, deleted."""

from __future__ import annotations

import asyncio
import builtins
import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import ParamSpec, TypeVar

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

from gateway.api.operations import Asked, Operation
from gateway.config.identity import Scope
from gateway.contract.recordings import Recording, RecordingsPage, RecordingsQuery
from gateway.errors import Blame, GatewayError, Verdict
from gateway.media.archive import IN_PROGRESS, RecordingArchive, StoredRecording
from gateway.storage.pages import read_cursor, written_cursor
from gateway.terms import RecordingFormat

PATH = "/v1/recordings"
TAG = "recordings"
NOT_CONFIGURED = Verdict(
    "recordings_not_configured", 500, 501, 41, Blame.GATEWAY,
    "This node records nothing: its configuration has no `recordings` section",
)  # fmt: skip
MEDIA_TYPES: Mapping[RecordingFormat, str] = MappingProxyType(
    {
        RecordingFormat.WAV: "audio/wav",
        RecordingFormat.OGG: "audio/ogg",  # RFC 5334 10.3
        RecordingFormat.MP3: "audio/mpeg",  # RFC 3003
        RecordingFormat.FLAC: "audio/flac",  # RFC 9639 10.1
    }
)
_ONE_RANGE = re.compile(r"bytes=\s*(\d+-\d*|-\d+)\s*", re.IGNORECASE)  # RFC 9110 14.1.1

P = ParamSpec("P")
T = TypeVar("T")


class RecordingEndpoint:
    """The operations. An identity has the recordings of its project, and no others."""

    def __init__(self, archive: RecordingArchive | None) -> None:
        """archive: None: nothing is recorded, and every operation is NOT_CONFIGURED."""
        self._archive = archive

    def operations(self) -> builtins.list[Operation]:
        """All of them."""
        one, read, delete = PATH + "/{name}", Scope.RECORDINGS_READ, Scope.RECORDINGS_DELETE
        return [
            Operation(
                "GET", PATH, "listRecordings", "The recordings", TAG, read, self.list,
                query=RecordingsQuery, answer=RecordingsPage, problems=(NOT_CONFIGURED,),
            ),
            Operation(
                "GET", one, "getRecording", "One recording", TAG, read, self.show,
                answer=Recording, problems=(NOT_CONFIGURED,),
            ),
            Operation(
                "GET", one + "/audio", "getRecordingAudio", "The audio of a recording", TAG, read,
                self.audio, media="audio/*", also={206: None},
                problems=(NOT_CONFIGURED, IN_PROGRESS),
            ),
            Operation(
                "DELETE", one, "deleteRecording", "Delete a recording", TAG, delete, self.delete,
                status=204, problems=(NOT_CONFIGURED, IN_PROGRESS),
            ),
        ]  # fmt: skip

    async def list(self, asked: Asked) -> RecordingsPage:
        """Newest first, also those that go on. `cursor` asks for the recordings after a page."""
        wanted: RecordingsQuery = asked.query
        last = None if wanted.cursor is None else read_cursor(wanted.cursor)
        found = [
            each
            for each in await _in_thread(self._kept().all, asked.project)
            if _fits(each, wanted) and (last is None or (each.started, each.name) < last)
        ]
        page = found[: wanted.limit]
        more = len(found) > len(page)
        return RecordingsPage(
            recordings=[Recording.model_validate(each) for each in page],
            cursor=written_cursor(page[-1].started, page[-1].name) if more else None,
        )

    async def show(self, asked: Asked) -> Recording:
        """What is known about it. The name is what the verb `record` gave, and the event
        `recording.started`."""
        found = await _in_thread(self._kept().get, asked.path["name"], asked.project)
        return Recording.model_validate(found)

    async def audio(self, asked: Asked) -> web.StreamResponse:
        """The file, or with `Range` one part of it (206; RFC 9110 14), `If-Range` and
        `If-None-Match` by its ETag. 416: it has no such part."""
        found, path = await _in_thread(self._kept().file, asked.path["name"], asked.project)
        return _Audio(
            path,
            headers={
                "Content-Type": MEDIA_TYPES[found.format],
                "Content-Disposition": f'attachment; filename="{path.name}"',
                "Cache-Control": "private, no-cache",
                "X-Content-Type-Options": "nosniff",
            },
        )

    async def delete(self, asked: Asked) -> None:
        """Deletes its file, and what was known about it."""
        await _in_thread(self._kept().delete, asked.path["name"], asked.project)

    def _kept(self) -> RecordingArchive:
        if self._archive is None:
            raise GatewayError(NOT_CONFIGURED)
        return self._archive


class _Audio(web.FileResponse):
    """A file, with ranges as RFC 9110 has them: aiohttp knows If-Range by date only, and refuses
    what is to be ignored, several ranges and other units."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Sends the file, or the part that is asked for."""
        headers = request.headers.copy()
        wanted = headers.get(hdrs.RANGE)
        if wanted is not None and not await self._takes(wanted, headers.get(hdrs.IF_RANGE)):
            del headers[hdrs.RANGE]
        headers.pop(hdrs.ACCEPT_ENCODING, None)  # it would look for compressed files beside it
        return await super().prepare(request.clone(headers=headers))

    async def _takes(self, wanted: str, condition: str | None) -> bool:
        if _ONE_RANGE.fullmatch(wanted) is None:
            return False  # RFC 9110 14.2
        if condition is None or not condition.startswith(('"', "W/")):
            return True
        facts = await asyncio.to_thread(self._path.stat)
        return condition == f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'  # 13.1.5


async def _in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await asyncio.to_thread(partial(work, *args, **kwargs))


def _fits(each: StoredRecording, wanted: RecordingsQuery) -> bool:
    return (
        (wanted.call is None or each.call == wanted.call)
        and (wanted.since is None or each.started >= wanted.since)
        and (wanted.until is None or each.started < wanted.until)
    )
