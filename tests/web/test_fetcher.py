"""Fetching: what a hostile URL, name, redirect or server cannot do; and what a good one gives."""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiortc import RTCCertificate
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.errors import GatewayError
from gateway.media.clips import Clips
from gateway.web.fetcher import Fetcher
from gateway.web.values import Fetched, Validators
from tests.media.test_clips import FORMATS, encoded
from tests.web.conftest import ALLOWED, PRIVATE, Names, Site

KILO = 1024


async def refusal(fetcher: Fetcher, url: str, max_bytes: int = KILO) -> str:
    """The code and the text of what is raised."""
    with pytest.raises(GatewayError) as refused:
        await fetcher.get(url, max_bytes=max_bytes)
    return f"{refused.value.verdict.code}: {refused.value}"


async def test_a_file_comes_with_what_it_is(site: Site) -> None:
    site.says("/a", body=b"hello", headers={"ETag": '"1"', "Content-Type": "Audio/WAV; x=y"})
    fetched = await site.fetcher().get(site.url("/a?x=1#part"), max_bytes=KILO, accept="audio/wav")
    assert (fetched.body, fetched.content_type, fetched.etag) == (b"hello", "audio/wav", '"1"')
    (request,) = site.seen
    assert request.headers["Accept"] == "audio/wav"
    assert request.headers["User-Agent"] == "gateway"
    assert request.path_qs == "/a?x=1"


# ---- addresses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        PRIVATE,
        "localhost",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1%25lo]",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.",
        "127。0。0。1",
        "①②⑦.⓪.⓪.①",
        "169.254.169.254",
        "[fd00:ec2::254]",
    ],
)
async def test_no_spelling_of_a_private_address_is_asked(site: Site, host: str) -> None:
    told = await refusal(site.fetcher(), site.url("/secret", host))
    assert told.startswith(("forbidden", "bad_request"))
    assert not site.seen


async def test_the_refusal_names_the_way_out_and_the_log_the_address(
    site: Site, logs: list[MutableMapping[str, Any]]
) -> None:
    told = await refusal(site.fetcher(Names("10.1.2.3")), "http://inside.example/x?token=sentinel")
    assert told.startswith("forbidden: http://inside.example/x")
    assert "web.allow_private" in told
    assert "10.1.2.3" not in told  # who asks need not learn what our resolver knows
    assert [entry["address"] for entry in logs if entry["event"] == "web.refused"] == ["10.1.2.3"]
    assert "sentinel" not in f"{told}{logs}"


async def test_a_name_that_is_rebound_is_checked_for_each_connection(site: Site) -> None:
    site.says("/", body=b"public", headers={"Connection": "close"})
    fetcher = site.fetcher(Names(ALLOWED, PRIVATE, ALLOWED))
    url = f"http://rebound.example:{site.port}/"
    assert (await fetcher.get(url, max_bytes=KILO)).body == b"public"
    assert (await refusal(fetcher, url)).startswith("forbidden")
    assert (await fetcher.get(url, max_bytes=KILO)).body == b"public"
    assert len(site.seen) == 2


async def test_a_name_with_a_private_address_among_others_is_refused(site: Site) -> None:
    told = await refusal(site.fetcher(Names(f"{ALLOWED} {PRIVATE}")), "http://mixed.example/")
    assert told.startswith("forbidden")


async def test_what_the_resolver_lets_pass_the_socket_does_not(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.web.client._GuardedResolver", lambda inner, guard: inner)
    for answer in (PRIVATE, f"{PRIVATE} 127.0.0.3"):
        told = await refusal(site.fetcher(Names(answer)), f"http://x.example:{site.port}/")
        assert told.startswith("forbidden")
    assert not site.seen


async def test_hosts_that_cannot_be_are_refused(site: Site) -> None:
    for host in ("a" * 70 + ".example", "-.example"):
        told = await refusal(site.fetcher(), f"http://{host}/")
        assert told.startswith(("bad_request", "fetch_failed"))


# ---- redirects ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("http://{private}/secret", "forbidden"),
        ("//{private}/secret", "forbidden"),
        ("http://169.254.169.254/latest/meta-data/", "forbidden"),
        ("http://[::ffff:127.0.0.1]/", "forbidden"),
        ("file:///etc/passwd", "fetch_failed"),
        ("ftp://example.com/", "fetch_failed"),
        ("http://user:sentinel@example.com/", "fetch_failed"),
        ("http://[", "fetch_failed"),
        ("", "fetch_failed"),
    ],
)
async def test_a_redirect_is_checked_like_the_url(site: Site, target: str, code: str) -> None:
    target = target.format(private=f"{PRIVATE}:{site.port}")
    site.says("/away", status=302, headers={"Location": target})
    site.says("/secret", body=b"sentinel")
    told = await refusal(site.fetcher(), site.url("/away"))
    assert told.startswith(code)
    assert "sentinel" not in told
    assert {request.path for request in site.seen} == {"/away"}


async def test_three_redirects_are_followed_and_no_fourth(site: Site) -> None:
    for number in range(4):
        status = (301, 302, 307, 308)[number]
        site.says(f"/{number}", status=status, headers={"Location": f"{number + 1}"})
    site.says("/4", body=b"there", headers={"ETag": '"x"'})
    fetched = await site.fetcher().get(site.url("/1"), max_bytes=KILO)
    assert fetched.body == b"there"
    assert fetched.validators == Validators(site.url("/4"), '"x"')
    assert "3 redirects" in await refusal(site.fetcher(), site.url("/0"))


# ---- what servers do ------------------------------------------------------------------------


async def test_a_body_that_is_too_large_is_cut_off_while_it_comes(site: Site) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * KILO)
            sent += KILO

    site.paths["/endless"] = endless
    site.says("/large", body=b"x" * (KILO + 1))
    site.says("/fits", body=b"x" * KILO)
    assert "more than 1024 bytes" in await refusal(site.fetcher(), site.url("/endless"))
    assert sent < 20_000_000
    assert "more than 1024 bytes" in await refusal(site.fetcher(), site.url("/large"))
    assert len((await site.fetcher().get(site.url("/fits"), max_bytes=KILO)).body) == KILO


async def test_a_server_that_dribbles_is_given_up(site: Site) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.05)

    site.paths["/slow"] = slow
    started = asyncio.get_running_loop().time()
    told = await refusal(site.fetcher(timeout=0.4), site.url("/slow"))
    assert told.startswith("fetch_failed")
    assert asyncio.get_running_loop().time() - started < 2


async def test_a_compressed_answer_could_be_a_bomb(site: Site) -> None:
    bomb = zlib.compress(bytes(10_000_000))
    site.says("/bomb", body=bomb, headers={"Content-Encoding": "deflate"})
    assert "compressed" in await refusal(site.fetcher(), site.url("/bomb"), 10**8)
    assert site.seen[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://a\r\n b/\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_no_http_is_a_failed_fetch(site: Site, answer: bytes) -> None:
    async def raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(raw, ALLOWED, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        told = await refusal(site.fetcher(), f"http://{ALLOWED}:{port}/")
    assert told.startswith("fetch_failed")


async def test_a_certificate_that_nobody_vouches_for_is_no_secure_connection(
    site: Site, tmp_path: Path
) -> None:
    made = RTCCertificate.generateCertificate()
    key = made._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = tmp_path / "server.pem"
    file.write_bytes(key + made._cert.public_bytes(Encoding.PEM))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file)
    asked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        writer.close()

    server = await asyncio.start_server(serve, ALLOWED, 0, ssl=tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        told = await refusal(site.fetcher(attempts=3), f"https://{ALLOWED}:{port}/")
    assert "no secure connection" in told
    assert not asked.is_set()


async def test_a_proxy_of_the_environment_is_not_asked(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, site.url("", PRIVATE))
    site.says("/a", body=b"direct")
    assert (await site.fetcher().get(site.url("/a"), max_bytes=KILO)).body == b"direct"
    assert site.seen[0].host == f"{ALLOWED}:{site.port}"
    assert (await refusal(site.fetcher(), "http://192.0.2.1/")).startswith("forbidden")
    assert len(site.seen) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 204, 304])
async def test_a_status_that_brings_no_file_is_told(site: Site, status: int) -> None:
    site.says("/x", status=status)
    told = await refusal(site.fetcher(attempts=3), site.url("/x?token=sentinel"))
    assert told == f"fetch_failed: {site.url('/x')} answered {status}"
    assert len(site.seen) == 1  # asking again would change nothing


# ---- headers --------------------------------------------------------------------------------


async def test_nothing_that_is_given_becomes_another_header(site: Site) -> None:
    site.says("/a", body=b"x", headers={"ETag": '"a" x', "Last-Modified": 'now; "x"'})
    fetcher = site.fetcher()
    for accept in ("audio/wav\r\nX-Evil: 1", "audio/wav\nX-Evil: 1", "a\0b", "ü"):
        with pytest.raises(GatewayError) as refused:
            await fetcher.get(site.url("/a"), max_bytes=KILO, accept=accept)
        assert refused.value.verdict.code == "bad_request"
    assert not site.seen
    fetched = await fetcher.get(site.url("/a?q=%0d%0aX-Evil:1"), max_bytes=KILO)
    assert (fetched.etag, fetched.validators.last_modified) == (None, None)
    assert "X-Evil" not in site.seen[0].headers


# ---- freshness ------------------------------------------------------------------------------


async def test_an_unchanged_file_is_not_sent_again(site: Site) -> None:
    async def tagged(request: web.Request) -> web.Response:
        same = request.headers.get("If-None-Match") == '"7"'
        headers = {"ETag": '"7"', "Cache-Control": "max-age=60"}
        return web.Response(
            status=304 if same else 200, body=b"" if same else b"x", headers=headers
        )

    site.paths["/a"] = tagged
    site.says("/away", status=302, headers={"Location": "/a"})
    fetcher = site.fetcher()
    first = await fetcher.get(site.url("/away"), max_bytes=KILO)
    again = await fetcher.get(site.url("/away"), max_bytes=KILO, known=first.validators)
    assert again == Fetched(b"", "", first.validators, fresh_seconds=60, unchanged=True)
    conditional = ["If-None-Match" in request.headers for request in site.seen]
    assert conditional == [False, False, False, True]  # a tag is for the file that had it


async def test_last_modified_is_used_where_there_is_no_tag(site: Site) -> None:
    moment = "Tue, 01 Jan 2030 00:00:00 GMT"
    site.says("/a", body=b"x", headers={"Last-Modified": moment})
    fetcher = site.fetcher()
    known = (await fetcher.get(site.url("/a"), max_bytes=KILO)).validators
    await fetcher.get(site.url("/a"), max_bytes=KILO, known=known)
    assert site.seen[1].headers["If-Modified-Since"] == moment


@pytest.mark.parametrize(
    ("headers", "fresh", "storable"),
    [
        ({}, 0, True),
        ({"Cache-Control": "public, Max-Age=600"}, 600, True),
        ({"Cache-Control": "max-age=600", "Age": "500"}, 100, True),
        ({"Cache-Control": "max-age=600", "Age": "700"}, 0, True),
        ({"Cache-Control": "max-age=999999999"}, 86_400, True),
        ({"Cache-Control": "no-cache, max-age=600"}, 0, True),
        ({"Cache-Control": "no-store, max-age=600"}, 0, False),
        ({"Cache-Control": "max-age=-5"}, 0, True),
        ({"Cache-Control": 'max-age="60", private'}, 60, True),
        ({"Cache-Control": "max-age=²,,=,;"}, 0, True),
    ],
)
async def test_freshness_is_what_the_server_says(
    site: Site, headers: dict[str, str], fresh: float, storable: bool
) -> None:
    site.says("/a", body=b"x", headers=headers)
    fetched = await site.fetcher().get(site.url("/a"), max_bytes=KILO)
    assert (fetched.fresh_seconds, fetched.storable) == (fresh, storable)


async def test_a_clip_is_played_from_the_web(site: Site) -> None:
    site.says("/a.wav", body=encoded(*FORMATS[0]), headers={"Cache-Control": "max-age=9"})
    site.says("/b.wav", body=b"#EXTM3U\nhttp://127.0.0.1/\n")
    clips = Clips(site.fetcher())
    assert (await clips.load(site.url("/a.wav"))).seconds == pytest.approx(1, abs=0.01)
    await clips.load(site.url("/a.wav"))
    assert len(site.seen) == 1
    with pytest.raises(GatewayError, match="neither wav, mp3, ogg nor flac"):
        await clips.load(site.url("/b.wav"))
    with pytest.raises(GatewayError) as refused:
        await clips.load(site.url("/a.wav", PRIVATE))
    assert refused.value.verdict.code == "forbidden"
