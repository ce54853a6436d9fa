"""Recordings over HTTP: listed, fetched in whole and in part, deleted; each project its own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.api.recordings import RecordingEndpoint
from gateway.config.identity import Scope
from gateway.errors import GatewayError
from gateway.media.archive import RecordingArchive
from gateway.media.recording_folder import About, RecordingFolder, Ticket
from gateway.terms import RecordingFormat
from tests.api.conftest import StartApi
from tests.api.known import Stand, known

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
AUDIO = bytes(range(256)) * 4


def put(folder: Path, name: str, minutes: int = 0, **changes: Any) -> None:
    """A finished recording that began `minutes` after noon."""
    about = About.model_validate(
        {
            "call": name.rpartition("-")[0], "format": "ogg", "seconds": 2.5, "channels": 2,
            "started": NOON + timedelta(minutes=minutes), **changes,
        }
    )  # fmt: skip
    (folder / f"{name}.{about.format}").write_bytes(AUDIO)
    (folder / f"{name}.meta").write_text(about.model_dump_json())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Recordings of two projects, one without what is told about it, and a secret beside them."""
    found = tmp_path / "recordings"
    found.mkdir(0o700)
    put(found, "c-1-1", 1)
    put(found, "c-1-2", 2, format="wav")
    put(found, "c-2-1", 3)
    put(found, "c-9-1", 4, project="other")
    (found / "c-0-1.mp3").write_bytes(AUDIO)
    os.utime(found / "c-0-1.mp3", (NOON.timestamp(), NOON.timestamp()))
    (found / "notes.txt").write_text("secret")
    (tmp_path / "secret.ogg").write_text("secret")
    return found


@pytest.fixture
async def stand(start_api: StartApi, folder: Path) -> AsyncIterator[Stand]:
    async with known(start_api, archive=RecordingArchive(folder)) as made:
        yield made


@pytest.fixture
async def key(stand: Stand) -> dict[str, str]:
    return await stand.key(Scope.RECORDINGS_READ, Scope.RECORDINGS_DELETE)


async def listed(stand: Stand, headers: dict[str, str], query: str = "") -> list[str]:
    status, told = await stand.ask("GET", "/v1/recordings" + query, headers)
    assert status == 200, told
    return [each["name"] for each in told["recordings"]]


async def fetch(
    stand: Stand, key: dict[str, str], name: str = "c-1-1", **headers: str
) -> tuple[int, bytes, Mapping[str, str]]:
    sent = key | {name.replace("_", "-"): value for name, value in headers.items()}
    async with stand.api.client.get(f"/v1/recordings/{name}/audio", headers=sent) as response:
        return response.status, await response.read(), response.headers


async def test_a_project_has_its_own_recordings_newest_first(
    stand: Stand, key: dict[str, str]
) -> None:
    others = await stand.key(Scope.RECORDINGS_READ, Scope.RECORDINGS_DELETE, project="other")
    ours = await listed(stand, key)
    assert ours == ["c-2-1", "c-1-2", "c-1-1", "c-0-1"]
    assert await listed(stand, others) == ["c-9-1"]
    for method, path in [("GET", ""), ("GET", "/audio"), ("DELETE", "")]:
        assert (await stand.ask(method, f"/v1/recordings/c-1-1{path}", others))[0] == 404
        assert (await stand.ask(method, f"/v1/recordings/c-9-1{path}", key))[0] == 404
    assert await listed(stand, key) == ours


async def test_what_is_told_about_one(stand: Stand, key: dict[str, str]) -> None:
    assert await stand.ask("GET", "/v1/recordings/c-1-2", key) == (
        200,
        {
            "name": "c-1-2", "state": "finished", "call": "c-1", "format": "wav",
            "started": "2030-06-01T12:02:00Z", "seconds": 2.5, "channels": 2, "bytes": 1024,
        },
    )  # fmt: skip
    status, told = await stand.ask("GET", "/v1/recordings/c-0-1", key)  # of an older gateway
    assert (status, told["call"], told["bytes"]) == (200, None, 1024)


async def test_filters_and_pages(stand: Stand, key: dict[str, str], folder: Path) -> None:
    (folder / "c-0-1.mp3").unlink()
    assert await listed(stand, key, "?call=c-1") == ["c-1-2", "c-1-1"]
    assert await listed(stand, key, "?since=2030-06-01T12:03:00Z") == ["c-2-1"]
    assert await listed(stand, key, "?until=2030-06-01T12:02:00Z") == ["c-1-1"]
    _, told = await stand.ask("GET", "/v1/recordings?limit=2", key)
    assert [each["name"] for each in told["recordings"]] == ["c-2-1", "c-1-2"]
    put(folder, "c-3-1", 9)  # shifts no page
    assert await listed(stand, key, f"?limit=2&cursor={told['cursor']}") == ["c-1-1"]


@pytest.mark.parametrize(
    ("name", "type_"),
    [("c-1-1", "audio/ogg"), ("c-1-2", "audio/wav"), ("c-0-1", "audio/mpeg")],
)
async def test_the_whole_file(stand: Stand, key: dict[str, str], name: str, type_: str) -> None:
    status, body, headers = await fetch(stand, key, name)
    assert (status, body) == (200, AUDIO)
    assert headers["Content-Type"] == type_
    assert headers["Content-Disposition"].startswith(f'attachment; filename="{name}.')
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["ETag"]


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ("bytes=0-9", slice(0, 10)),
        ("bytes=1000-", slice(1000, 1024)),
        ("bytes=1000-9999", slice(1000, 1024)),
        ("bytes=-24", slice(1000, 1024)),
        ("bytes=-9999", slice(0, 1024)),
    ],
)
async def test_a_part_of_it(stand: Stand, key: dict[str, str], wanted: str, part: slice) -> None:
    status, body, headers = await fetch(stand, key, Range=wanted)
    assert (status, body) == (206, AUDIO[part])
    assert headers["Content-Range"] == f"bytes {part.start}-{part.stop - 1}/1024"
    assert headers["Content-Type"] == "audio/ogg"


@pytest.mark.parametrize("wanted", ["bytes=1024-", "bytes=5000-6000"])
async def test_a_part_that_is_not_there(stand: Stand, key: dict[str, str], wanted: str) -> None:
    status, _, headers = await fetch(stand, key, Range=wanted)
    assert (status, headers["Content-Range"]) == (416, "bytes */1024")


@pytest.mark.parametrize("wanted", ["items=0-9", "bytes=0-9,20-29", "bytes=x", "nonsense"])
async def test_ranges_that_are_to_be_ignored(
    stand: Stand, key: dict[str, str], wanted: str
) -> None:
    status, body, _ = await fetch(stand, key, Range=wanted)
    assert (status, body) == (200, AUDIO)


async def test_conditions(stand: Stand, key: dict[str, str]) -> None:
    tag = (await fetch(stand, key))[2]["ETag"]
    assert (await fetch(stand, key, Range="bytes=0-9", If_Range=tag))[:2] == (206, AUDIO[:10])
    assert (await fetch(stand, key, Range="bytes=0-9", If_Range='"old"'))[:2] == (200, AUDIO)
    weak = f"W/{tag}"  # RFC 9110 13.1.5: compared strongly
    assert (await fetch(stand, key, Range="bytes=0-9", If_Range=weak))[:2] == (200, AUDIO)
    long_ago = "Sat, 01 Jan 2000 00:00:00 GMT"
    assert (await fetch(stand, key, Range="bytes=0-9", If_Range=long_ago))[:2] == (200, AUDIO)
    assert (await fetch(stand, key, If_None_Match=tag))[:2] == (304, b"")


async def test_deletion(stand: Stand, key: dict[str, str], folder: Path) -> None:
    read = await stand.key(Scope.RECORDINGS_READ)
    assert (await stand.ask("DELETE", "/v1/recordings/c-1-1", read))[0] == 403
    assert (await stand.ask("DELETE", "/v1/recordings/c-1-1", key))[0] == 204
    assert not [name for name in os.listdir(folder) if name.startswith("c-1-1.")]
    assert (await fetch(stand, key))[0] == 404
    assert "c-1-1" not in await listed(stand, key)
    assert (await stand.ask("DELETE", "/v1/recordings/c-1-1", key))[0] == 404


async def test_what_is_being_written_is_seen_and_left_alone(
    stand: Stand, key: dict[str, str], folder: Path
) -> None:
    ticket = Ticket(call="c-5", format=RecordingFormat.WAV, started=NOON, project="default")
    with RecordingFolder(folder).begin("c-5-1", ticket):
        _, told = await stand.ask("GET", "/v1/recordings/c-5-1", key)
        assert (told["state"], told["bytes"]) == ("recording", None)
        assert await listed(stand, key, "?call=c-5") == ["c-5-1"]
        for method, path in [("GET", "/audio"), ("DELETE", "")]:
            status, told = await stand.ask(method, f"/v1/recordings/c-5-1{path}", key)
            assert (status, told["code"]) == (409, "recording_in_progress")
        assert (folder / "c-5-1.json").exists()


async def test_a_file_whose_owner_cannot_be_read_is_nobodys(
    stand: Stand, key: dict[str, str], folder: Path
) -> None:
    (folder / "c-9-1.meta").write_text("{damaged")
    assert (await fetch(stand, key, "c-9-1"))[0] == 404
    assert "c-9-1" not in await listed(stand, key)


NAMES = st.one_of(
    st.text(max_size=40),
    st.lists(
        st.sampled_from(["..", ".", "/", "\\", "secret", "ogg", "\0", "~", "c-1-1", "notes.txt"]),
        max_size=6,
    ).map("".join),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(name=NAMES.filter(lambda name: name not in {"c-0-1", "c-1-1", "c-1-2", "c-2-1"}))
def test_no_name_leads_out_of_the_folder(folder: Path, name: str) -> None:
    archive = RecordingArchive(folder)
    for ask in (archive.get, archive.file, archive.delete):
        with pytest.raises(GatewayError) as refused:
            ask(name, "default")
        assert refused.value.verdict.code == "not_found"


@pytest.mark.parametrize("name", ["../secret", "..%2Fsecret", "c-1-1.ogg", "c-1-1%00", "notes"])
async def test_nor_by_http(stand: Stand, key: dict[str, str], name: str) -> None:
    path = f"/v1/recordings/{quote(name, safe='%')}/audio"
    async with stand.api.client.get(path, headers=key) as response:
        assert response.status == 404
        assert b"secret" not in await response.read()


async def test_a_node_that_records_nothing_says_so(start_api: StartApi) -> None:
    api = await start_api(demo=True, operations=RecordingEndpoint(None).operations())
    for method, path in [("GET", ""), ("GET", "/a"), ("GET", "/a/audio"), ("DELETE", "/a")]:
        async with api.client.request(method, "/v1/recordings" + path) as response:
            assert response.status == 501
            told = await response.json(content_type=None)
            assert told["code"] == "recordings_not_configured"
