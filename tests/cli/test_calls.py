"""`gateway calls`, `call` and `top` against a running API: what a user reads, and exit codes."""

from __future__ import annotations

import json

import pytest
from aiohttp.test_utils import unused_port

from gateway.config.identity import Scope
from gateway.ports import IncomingSip, LegKind, PortStats
from gateway.testing import FakeLeg
from tests.api.steps import until
from tests.cli.conftest import Commands

HEAR = PortStats(
    rx_packets=990, rx_lost=10, tx_packets=1000, rejected_source=0, srtp_failures=0, malformed=0,
    jitter_ms=4.0, rtt_ms=30.0, remote_lost=0, dtmf_received=0, dtmf_sent=0,
)  # fmt: skip


async def test_live_calls_are_listed_with_what_they_sound_like(commands: Commands) -> None:
    assert (await commands.good("calls")).split()[:2] == ["id", "phase"]
    leg, call = commands.clients.phone()
    await until(lambda: leg.port)
    assert leg.port is not None
    commands.clients.stand.node.media.counters[leg.port] = HEAR
    head, *rows = (await commands.good("calls", "--context", "carrier")).splitlines()
    [row] = rows
    assert row.split()[:4] == [call.id, "program", "555", "wait"]
    assert row.split()[-5:] == ["pcmu/8000", "4.3", "1.0%", "4", "ms"]
    assert head.split()[-3:] == ["MOS", "loss", "jitter"]
    assert (await commands.good("calls", "--callee", "elsewhere")).split() == head.split()
    told = [json.loads(line) for line in (await commands.good("calls", "--json")).splitlines()]
    [found] = told
    assert found["legs"][0]["quality"]["rx_lost"] == 10
    assert json.loads(await commands.good("call", "show", call.id, "--json")) == found
    shown = await commands.good("call", "show", call.id)
    assert "caller" in shown
    assert "30 ms" in shown


async def test_a_call_is_made_commanded_and_ended(commands: Commands) -> None:
    stand = commands.clients.stand
    await stand.browser(stand.token("alice"))
    made = await commands.good("call", "make", "--user", "alice", "--callee", "+12125550100",
                               "--variable", "tier=gold")  # fmt: skip
    assert made.strip() in stand.node.registry.calls
    assert await commands.good("call", "hangup", made.strip()) == ""
    leg, call = commands.clients.phone()
    other, second = commands.clients.phone()
    await until(lambda: leg.port and other.port)
    assert await commands.good("call", "verb", call.id, "send_dtmf: {digits: 12#}") == ""
    assert [sent.digit for sent in stand.node.media.sent] == ["1", "2", "#"]
    assert await commands.good("call", "verb", call.id, "pause: 60", "--wait", "0") == "goes on\n"
    assert await commands.good("call", "bridge", call.id, second.id) == ""
    assert (leg.port, other.port) in stand.node.media.connections
    assert await commands.good("call", "hangup", call.id, "--reason", "Enough") == ""
    await until(lambda: leg.ended)
    assert leg.verdict is not None
    assert leg.verdict.text == "Enough"


async def test_gathered_digits_are_printed(commands: Commands) -> None:
    leg, call = commands.clients.phone()
    await until(lambda: leg.port)
    step = "gather: {max_digits: 1, first_timeout: 0.05}"
    told = await commands.good("call", "verb", call.id, step)
    assert told.splitlines() == ["digits=", "gather_reason=nothing"]


async def test_a_refusal_is_one_line_and_an_exit_code(commands: Commands) -> None:
    done = await commands.run("call", "show", "c-none")
    assert (done.exit_code, done.stdout, done.stderr) == (
        1,
        "",
        "gateway: No such call (not_found)\n",
    )
    reader = await commands.clients.token(Scope.CALLS_READ)
    done = await commands.run("call", "hangup", "c-none", GATEWAY_KEY=reader)
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "calls:write" in done.stderr
    done = await commands.run("calls", GATEWAY_KEY="")
    assert (done.exit_code, "unauthorized" in done.stderr) == (1, True)
    nowhere = f"http://127.0.0.1:{unused_port()}"
    done = await commands.run("calls", "--url", nowhere)
    assert (done.exit_code, "cannot be reached" in done.stderr) == (3, True)
    for failed in (["call", "show", "c-none"], ["calls"]):
        assert "Traceback" not in (await commands.run(*failed, GATEWAY_KEY="wrong")).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["call", "verb", "c-1", "shout: Hello."], "no verb 'shout'"),
        (["call", "verb", "c-1", "{say"], "no YAML"),
        (["call", "verb", "c-1", "say: {}"], "text"),
        (["call", "make", "--callee", "1"], "dial needs a trunk or a user"),
        (["call", "make", "--user", "alice", "--callee", "1", "--variable", "tier"], "NAME=VALUE"),
        (["calls", "--url", "gateway.example"], "https://gateway.example"),
        (["calls", "--key", "two words"], "no key has"),
        (["calls", "--phase", "lost"], "lost"),
        (["call", "show", ".."], "is no name"),
        (["cdr", "--since", "yesterday"], "2026-12-24T18:00"),
        (["cdr", "--project", "sales"], "goes with a database"),
    ],
)
async def test_what_is_written_wrongly_is_told_without_asking(
    commands: Commands, words: list[str], said: str
) -> None:
    done = await commands.run(*words)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.replace("\u2502", " ").split())
    assert "Traceback" not in done.stderr


async def test_a_peers_text_cannot_command_the_terminal(commands: Commands) -> None:
    stand = commands.clients.stand
    leg = FakeLeg(LegKind.SIP, stand.node.media)
    hostile = "[red]\x1b]0;owned\x07\x1b[2J\n\r\u202eevil"
    stand.node.registry.start_sip_call(IncomingSip(leg, "carrier", hostile, "wait"))
    told = await commands.good("calls")
    assert "[red]" in told
    assert not set(told) & set("\x1b\x07\r\u202e")
    assert len(told.splitlines()) == 2
