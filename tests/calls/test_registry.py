"""The registry: limits, finding calls, draining and closing; and the handle of a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.calls import CallSettings
from gateway.config.document import parse_document
from gateway.config.loader import config_from
from gateway.dialplan import plan_from
from gateway.errors import NORMAL, GatewayError
from gateway.events import CallEnded, Role
from gateway.ids import CallId, LegId
from gateway.ports import IncomingSip, LegKind
from gateway.storage import Envelope
from gateway.testing import FakeLeg, LoopClock, virtual_time
from tests.calls.conftest import Stand, breathe, ended


@virtual_time
async def test_one_call_too_many_is_refused_and_its_leg_hung_up(
    make_stand: Callable[..., Stand],
) -> None:
    stand = make_stand(CallSettings(max_calls=2))
    calls = [stand.browser_calls("phone")[1] for _ in range(2)]
    extra = FakeLeg(LegKind.WEBRTC, stand.media)
    with pytest.raises(GatewayError) as refused:
        stand.registry.start_browser_call(extra, "", "phone")
    assert refused.value.verdict.http_status == 429
    assert extra.verdict == refused.value.verdict

    invite = FakeLeg(LegKind.SIP, stand.media)
    assert stand.registry.start_sip_call(IncomingSip(invite, "trunk", "5", "echo")) is None
    assert invite.verdict is not None
    assert invite.verdict.sip_status == 503

    calls[0].hangup()
    await ended(calls[0])
    assert stand.browser_calls("phone")[1].id in stand.registry.calls
    await stand.registry.close_all()
    stand.assert_nothing_is_left()


@virtual_time
async def test_calls_are_found_by_id_while_they_live(stand: Stand) -> None:
    _, _, call = await stand.talking()
    assert stand.registry.get(call.id) is call
    stand.registry.hangup(call.id)
    await ended(call)
    with pytest.raises(GatewayError) as unknown:
        stand.registry.get(call.id)
    assert unknown.value.verdict.http_status == 404
    with pytest.raises(GatewayError):
        stand.registry.hangup(CallId("c-unknown"))


@virtual_time
async def test_draining_refuses_new_calls_and_lets_live_ones_end(stand: Stand) -> None:
    caller, _, call = await stand.talking()
    stand.registry.drain()
    with pytest.raises(GatewayError) as refused:
        stand.browser_calls("phone")
    assert refused.value.verdict.code == "shutting_down"
    waiting = asyncio.create_task(stand.registry.wait_idle())
    await breathe(100)
    assert call.state == "connected"
    assert not waiting.done()
    caller.ends(NORMAL)
    await waiting
    stand.assert_nothing_is_left()


@virtual_time
async def test_closing_hangs_up_every_call_and_waits_for_them(stand: Stand) -> None:
    for _ in range(3):
        await stand.talking()
    phone, _ = stand.phone_calls("echo")
    await breathe()
    await stand.registry.close_all()
    assert phone.verdict is not None
    assert phone.verdict.code == "shutting_down"
    await breathe()
    stand.assert_nothing_is_left()


@virtual_time
async def test_closing_cuts_off_what_does_not_confirm(stand: Stand) -> None:
    caller, callee, call = await stand.talking()
    caller._confirms = callee._confirms = False
    before = asyncio.get_running_loop().time()
    await stand.registry.close_all(patience=2)
    assert asyncio.get_running_loop().time() - before == pytest.approx(2, abs=0.1)
    assert isinstance(stand.events(call)[-1], CallEnded)
    assert not stand.registry.calls


@virtual_time
async def test_a_call_that_is_cut_off_before_it_began_hangs_up_its_leg(stand: Stand) -> None:
    leg, call = stand.browser_calls("phone")
    next(task for task in asyncio.all_tasks() if task.get_name() == f"call {call.id}").cancel()
    await breathe()
    assert leg.verdict is not None
    assert leg.verdict.code == "shutting_down"
    stand.assert_nothing_is_left()


@virtual_time
async def test_a_new_plan_is_for_new_calls(stand: Stand) -> None:
    _, _, call = await stand.talking()
    plan = "contexts:\n  browser:\n    - {match: phone, reject: {status: 403}}\n"
    stand.registry.use_plan(plan_from(parse_document(plan)))
    leg, refused = stand.browser_calls("phone")
    await ended(refused)
    assert leg.verdict is not None
    assert leg.verdict.code == "forbidden"
    assert call.state == "connected"
    await stand.registry.close_all()


@virtual_time
async def test_who_calls_when_and_with_which_headers_decides_the_rules(stand: Stand) -> None:
    year = LoopClock().now().wall.year
    stand.registry.use_plan(
        plan_from(
            parse_document(f"""
entry: {{users: {{alice: vip}}}}
contexts:
  browser: [{{match: x, reject: {{status: 486}}}}]
  vip: [{{match: x, time: {{dates: {year}-01-01..{year}-12-31}}, reject: {{status: 410}}}}]
  trunk:
    - {{match: x, headers: {{X-Tier: gold}}, reject: {{status: 423}}}}
    - {{match: x, when: "origin == 'trunk' && source == 'trunk'", reject: {{status: 424}}}}
""")
        )
    )
    statuses = []
    for user in ("bob", "alice"):
        leg, call = stand.browser_calls("x", user=user)
        await ended(call)
        assert leg.verdict is not None
        statuses.append(leg.verdict.sip_status)
    for headers in ({"x-tier": "gold"}, {}):
        leg = FakeLeg(LegKind.SIP, stand.media)
        started = stand.registry.start_sip_call(
            IncomingSip(leg, "trunk", "5", "x", headers=headers)
        )
        assert started is not None
        await ended(started)
        assert leg.verdict is not None
        statuses.append(leg.verdict.sip_status)
    assert statuses == [486, 410, 423, 424]


def test_settings_come_from_the_configuration() -> None:
    document = parse_document(
        "dialplan: x\nmax_calls: 7\nwebrtc: {setup_timeout: 9}\n"
        "sip:\n  trunks:\n    - {name: a, host: h, ring_timeout: 11}\n"
    )
    settings = CallSettings.from_config(config_from(document, {}))
    assert settings.max_calls == 7
    assert settings.ring_timeouts == {"a": 11.0}
    assert settings.limits.setup > 9  # the leg's own timer comes first


# ---- the handle -----------------------------------------------------------------------------


@virtual_time
async def test_a_view_shows_both_legs_and_hides_numbers_in_its_repr(stand: Stand) -> None:
    leg, call = stand.browser_calls("phone", user="+14155550100")
    leg.media(early=True)
    await breathe()
    stand.sip.legs[0].answers()
    await breathe()
    view = call.view()
    assert [(leg.role, leg.kind, leg.media) for leg in view.legs] == [
        (Role.CALLER, LegKind.WEBRTC, "opus/48000"),
        (Role.CALLEE, LegKind.SIP, "pcmu/8000"),
    ]
    assert view.answered
    assert view.caller == "+14155550100"
    assert "4155550100" not in repr(view)
    call.hangup()
    await ended(call)


@virtual_time
async def test_events_can_be_read_after_the_end(stand: Stand) -> None:
    _, _, call = await stand.talking()
    call.hangup()
    first = await ended(call)
    again = await ended(call)
    assert first == again
    assert isinstance(again[-1], CallEnded)


@virtual_time
async def test_events_after_a_sequence_number(stand: Stand) -> None:
    _, _, call = await stand.talking()
    seen = stand.log.last_sequence
    call.hangup()
    items = [item async for item in call.events(since=seen)]
    sequences = [item.sequence for item in items if isinstance(item, Envelope)]
    assert sequences[0] == seen + 1
    await breathe()


@pytest.mark.parametrize(
    ("digit", "duration_ms"), [("", 100), ("12", 100), ("x", 100), ("1", 39), ("1", 6001)]
)
@virtual_time
async def test_tones_that_are_none_are_refused(stand: Stand, digit: str, duration_ms: int) -> None:
    caller, _, call = await stand.talking()
    with pytest.raises(GatewayError) as refused:
        call.send_digit(Role.CALLEE, digit, duration_ms)
    assert refused.value.verdict.http_status == 400
    with pytest.raises(GatewayError):
        call.press(caller.id, digit, duration_ms)
    assert not stand.media.sent
    call.hangup()
    await ended(call)


@virtual_time
async def test_digits_need_somebody_who_hears_them(stand: Stand) -> None:
    caller, call = stand.browser_calls("phone")
    await breathe()
    with pytest.raises(GatewayError):
        call.press(caller.id, "1")
    with pytest.raises(GatewayError):
        call.send_digit(Role.CALLER, "1")
    with pytest.raises(GatewayError) as unknown:
        call.press(LegId("l-unknown"), "1")
    assert unknown.value.verdict.http_status == 404
    call.hangup()
    await ended(call)
    with pytest.raises(GatewayError):
        call.press(caller.id, "1")


@virtual_time
async def test_counters_of_the_legs_that_have_audio(stand: Stand) -> None:
    caller, callee, call = await stand.talking()
    counters = call.counters()
    assert set(counters) == {caller.id, callee.id}
    assert counters[callee.id].rx_packets == 0
    call.hangup()
    await ended(call)
    assert call.counters() == {}
