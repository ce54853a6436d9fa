"""A sentinel number and sentinel digits, through every way in, appear in nothing that is kept."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from gateway.apps import App, Call
from gateway.events import DigitReceived, DigitStarted
from gateway.legs.webrtc.peer import ProbePeer
from gateway.storage.event_log import encode
from gateway.testing import Rehearsal, virtual_time
from tests.observability.collector import collecting
from tests.observability.site import call, scraped
from tests.sip.sipp import caller_request, receive
from tests.support.gateway import Gateway, TrunkTo
from tests.support.processes import wait_until
from tests.verbs.phone import HANGS_UP, Phone

CALLER, CALLEE, DIALLED, SHOWN = "14157318250", "49309018205", "442079460958", "33199006128"
BY_RTP, BY_INFO, BY_BROWSER, BY_SIGNALLING = "4929173856", "5591830274", "6011382957", "3714496053"
SECRETS = (BY_RTP, BY_INFO, BY_BROWSER, BY_SIGNALLING)
SENTINELS = (CALLER, CALLEE, DIALLED, SHOWN, *SECRETS)
PATIENCE = 20.0
PLAN = """
version: "1"
contexts:
  browser:
    - {match: _44., name: out, dial: {trunk: north, number: "${callee}", caller: "SHOWN"}}
    - {match: _49., name: card, app: card}
  north:
    - {match: _49., name: card, app: card}
"""
INFO = f"""\
    INFO sip:100@[remote_ip]:[remote_port] SIP/2.0
    Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
    From: <sip:alice@[local_ip]:[local_port]>;tag=f[call_number]
    To: <sip:100@[remote_ip]:[remote_port]>[peer_tag_param]
    Call-ID: [call_id]
    CSeq: 2 INFO
    Max-Forwards: 70
    Content-Type: application/dtmf-relay
    Content-Length: [len]

    Signal={BY_INFO}
    Duration=160
"""


def configured(folder: Path, phone: Phone, collector: str, numbers: str) -> Gateway:
    """The gateway, whose log is JSON at level info."""
    gateway = Gateway(folder, [TrunkTo(phone.name, phone.port, calls_in=True)])
    gateway.arguments += ["--log-format", "json", "--log-level", "info"]
    file = folder / "gateway.yaml"
    config = yaml.safe_load(file.read_text())
    config["records"] = {"url": "sqlite:///records.sqlite3", "numbers": numbers}
    config["tracing"] = {"otlp": collector}
    config["apps"] = ["secrets_app:app"]
    file.write_text(yaml.safe_dump(config))
    (folder / "dialplan.yaml").write_text(PLAN.replace("SHOWN", SHOWN))
    shutil.copy(Path(__file__).with_name("secrets_app.py"), folder)
    return gateway


def told(folder: Path) -> list[str]:
    """What the program wrote down, outside of everything that is looked through."""
    file = folder / "told.txt"
    return file.read_text().splitlines() if file.exists() else []


async def asked(folder: Path, calls: int) -> None:
    """Waits until the program asks for digits: what begins before that is no secret."""
    await wait_until(lambda: told(folder).count("asks") == calls, PATIENCE, "the program asks")


async def phone_calls(gateway: Gateway, phone: Phone, folder: Path) -> None:
    """A telephone calls; digits come as telephone-events, and some by an INFO that is refused."""
    info = "\n".join(line[4:] for line in INFO.splitlines())
    xml = phone.dials(
        CALLEE,
        receive(100, optional=True),
        receive(200),
        caller_request("ACK", 1),
        f"<send><![CDATA[\n{info}]]></send>",
        receive(400),
        *HANGS_UP,
    ).replace("sip:alice@", f"sip:{CALLER}@")
    async with phone.follows(xml, target=gateway.sip_port) as sip:
        await wait_until(lambda: phone.rtp.heard, PATIENCE, "audio")
        await asked(folder, 1)
        await phone.rtp.send_digits(BY_RTP, duration_ms=60, gap_ms=60)
        await sip.done()
        assert f"Signal={BY_INFO}" in sip.trace
    assert f"{CALLER} {CALLEE} {BY_RTP}" in told(folder)


async def browser_calls(gateway: Gateway, folder: Path) -> None:
    """A browser's leg calls the program, and types by telephone-events."""
    peer = ProbePeer()
    try:
        await call(peer, gateway, CALLEE)
        await wait_until(lambda: peer.stats.received > 20, PATIENCE, "audio")
        await asked(folder, 2)
        await peer.send_digits(BY_BROWSER, duration_ms=60, gap_ms=60)
        await wait_until(peer.lost.is_set, PATIENCE, "the end")
    finally:
        await peer.close()
    assert any(line.endswith(BY_BROWSER) for line in told(folder))


async def browser_signals(gateway: Gateway, folder: Path) -> None:
    """A page calls the program over the WebSocket, and types there."""
    peer, messages = ProbePeer(), list[dict[str, Any]]()

    async def read(socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            messages.append(json.loads(message.data))

    async def first(kind: str) -> dict[str, Any]:
        found = await wait_until(
            lambda: [each for each in messages if each["type"] == kind], PATIENCE, kind
        )
        message: dict[str, Any] = found[0]
        return message

    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{gateway.url}/v1/signal") as socket,
    ):
        reading = asyncio.create_task(read(socket))
        await socket.send_json({"v": 1, "type": "hello", "user": "alice"})
        await socket.send_json(
            {"v": 1, "type": "call", "id": "1", "to": CALLEE, "sdp": await peer.offer()}
        )
        answer = await first("answer")
        await peer.accept(answer["sdp"])
        await wait_until(lambda: peer.stats.received > 20, PATIENCE, "audio")
        await asked(folder, 3)
        tones = {"tones": BY_SIGNALLING, "duration": 60, "gap": 60}
        await socket.send_json({"v": 1, "type": "dtmf", "call": answer["call"], **tones})
        await wait_until(peer.lost.is_set, PATIENCE, "the end")
        await socket.close()
        await reading
    await peer.close()
    heard = [message["digit"] for message in messages if message["type"] == "dtmf"]
    assert set(heard) <= {"X"}


async def browser_dials_out(gateway: Gateway, phone: Phone) -> str:
    """A browser's leg calls a number at the trunk; the metrics while it talks."""
    peer = ProbePeer()
    try:
        async with phone.follows(phone.answers(then=(receive("BYE"), *HANGS_UP[1:]))) as sip:
            await call(peer, gateway, DIALLED)
            await wait_until(lambda: phone.rtp.heard, PATIENCE, "audio")
            live = await scraped(gateway)
            await peer.close()
            await sip.done()
            assert DIALLED in sip.trace
            assert SHOWN in sip.trace
    finally:
        await peer.close()
    return live


async def timelines_of(gateway: Gateway) -> dict[str, bytes]:
    """What the API tells of each call, digits one after another."""
    found = {}
    async with aiohttp.ClientSession() as http:
        for name in re.findall(r'"call": "(c-[^"]+)"[^{}]*"call.created"', gateway.log):
            async with http.get(f"{gateway.url}/v1/calls/{name}/timeline") as response:
                text = await response.text()
                assert response.status == 200, text
            digits = re.findall(r'"digit": ?"(.)"', text)
            found[name] = text.encode() + "".join(digits).encode()
            assert set(digits) <= {"X"}
    return found


def kept_files(folder: Path) -> dict[str, bytes]:
    """Everything that the node wrote, but for what the test itself wants to know."""
    ours = {"gateway.yaml", "dialplan.yaml", "secrets_app.py", "told.txt"}
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ours and path.suffix != ".pyc"
    }


def found_in(sinks: dict[str, bytes], wanted: Iterable[str] = SENTINELS) -> list[tuple[str, str]]:
    """Where, and what."""
    pairs = ((name, data, each) for name, data in sinks.items() for each in wanted)
    return [(name, each) for name, data, each in pairs if each.encode() in data]


@pytest.mark.sip
@pytest.mark.slow
@pytest.mark.parametrize("numbers", ["drop", "keep"])
async def test_neither_numbers_nor_secret_digits_are_kept_anywhere(
    numbers: str, tmp_path: Path
) -> None:
    """With `keep`, the database has the numbers, which is what it is for; nothing else has."""
    folder = tmp_path / "node"
    phone = Phone("north", tmp_path)
    await phone.rtp.open()
    async with collecting() as collector:
        gateway = configured(folder, phone, collector.url, numbers)
        try:
            await gateway.start()
            await phone_calls(gateway, phone, folder)
            await browser_calls(gateway, folder)
            await browser_signals(gateway, folder)
            metrics = await browser_dials_out(gateway, phone)
            await wait_until(lambda: gateway.log.count('"call.ended"') == 4, PATIENCE, "the ends")
            metrics += await scraped(gateway)
            timelines = await timelines_of(gateway)
        finally:
            await gateway.stop()
            await phone.rtp.close()
    sinks = {"metrics": metrics.encode(), "traces": b"".join(collector.bodies)}
    assert len(timelines) == 4
    assert found_in(timelines, SECRETS) == []  # numbers are in them, for who may read calls
    sinks |= kept_files(folder)
    assert {"gateway.log", "records.sqlite3"} <= sinks.keys()
    assert len(collector.named("call")) == 4
    database = {name for name in sinks if name.startswith("records.sqlite3")}
    leaks = found_in(sinks)
    if numbers == "keep":
        leaks = [(name, each) for name, each in leaks if name not in database or each in SECRETS]
        assert found_in({name: sinks[name] for name in database}, [CALLER, CALLEE, DIALLED])
    assert leaks == []
    check_log(gateway.log)


def check_log(text: str) -> None:
    """Each line of a call carries its id, also those of a program's own loggers."""
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    customer = [line for line in lines if line["logger"] == "customer"]
    assert len(customer) == 6
    assert customer[0]["event"] == "*** calls ***"
    assert customer[1]["event"] == "typed ***"
    created = {line["call"] for line in lines if line["event"] == "call.created"}
    assert len(created) == 4
    assert {line["call"] for line in customer} <= created
    assert all(re.fullmatch(r"c-[\w-]{16}", each) for each in created)
    assert not [line for line in lines if line["level"] in ("error", "critical")]


@virtual_time
async def test_secret_digits_are_in_no_event_as_programs_get_it() -> None:
    """And those that are no secret are: so the sentinel would be found."""
    app = App()

    @app.call("asks")
    async def asks(call: Call) -> None:
        for secure in (False, True):
            await call.gather("Digits?", max_digits=10, secure=secure, terminators="")
        await call.say("Thank you.")

    async with Rehearsal(app.programs["asks"], caller=CALLER) as caller:
        for digits in (BY_RTP, BY_INFO):
            await caller.hears("Digits?")
            caller.press(digits)
        await caller.hears("Thank you.")
        await caller.end()
        envelopes = caller.log.replay(0)
    told = [json.loads(json.dumps(encode(each))) for each in envelopes]
    for kind in (DigitStarted.name, DigitReceived.name):
        typed = "".join(str(each["digit"]) for each in told if each["type"] == kind)
        assert typed == BY_RTP + "X" * 10
