"""Captures of calls: whose they are, what is left out of them, and when they end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import events as e
from gateway.calls.captures import LINGER, CallCaptures, Capture, Wish
from gateway.config.timeline import CapturesConfig
from gateway.errors import NORMAL, GatewayError
from gateway.ids import CallId, LegId
from gateway.media.packets import PacketCaptures
from gateway.media.values import Captured, Privacy
from gateway.observability.timeline import LivePort
from gateway.terms import CaptureEnd
from tests.timeline.packets import packet, request
from tests.timeline.test_store import Node

CALL, OTHER = CallId("c-1"), CallId("c-2")


class FakePackets(PacketCaptures):
    """Takes notes instead of packets; files are there at once."""

    def __init__(self) -> None:
        self.done: dict[int, Callable[[Captured], None]] = {}
        self.privacy: dict[int, list[Privacy]] = {}
        self.ports: dict[int, set[int]] = {}
        self.messages: dict[int, list[tuple[tuple[str, int], tuple[str, int], bytes]]] = {}
        self.streams: list[tuple[bool, int]] = []

    def open(
        self,
        path: Path,
        seconds: float,
        max_bytes: int,
        privacy: Privacy,
        done: Callable[[Captured], None],
    ) -> int:
        path.touch()
        handle = len(self.privacy) + 1
        self.done[handle] = done
        self.privacy[handle] = [privacy]
        self.ports[handle], self.messages[handle] = set(), []
        return handle

    def add(self, capture: int, port: int) -> None:
        self.ports[capture].add(port)

    def set_privacy(self, capture: int, privacy: Privacy) -> None:
        self.privacy[capture].append(privacy)

    def add_message(
        self,
        capture: int,
        monotonic: float,
        sender: tuple[str, int],
        receiver: tuple[str, int],
        data: bytes,
        *,
        stream: bool = False,
        whole: int = 0,
    ) -> None:
        self.messages[capture].append((sender, receiver, data))
        self.streams.append((stream, whole))

    def close(self, capture: int) -> None:
        self.done.pop(capture)(Captured(CaptureEnd.ASKED, 7, 0))


class Stand:
    """Captures of a node with one call of the project `acme`."""

    def __init__(self, folder: Path, **config: float) -> None:
        self.node = Node()
        self.packets = FakePackets()
        self.live: list[LivePort] = []
        self.captures = CallCaptures(
            self.packets,
            self.node.timelines,
            lambda: self.live,
            self.node.clock,
            CapturesConfig.model_validate(config),
            folder / "captures",
        )
        self.leg = self.node.begin(CALL, "a@x", "acme")
        self.join(CALL, self.leg, 11)

    def join(self, call: CallId, leg: LegId, port: int) -> None:
        self.live.append(LivePort(call, leg, port))

    def begin(self, **wish: bool) -> Capture:
        return self.captures.begin(CALL, "acme", Wish(60, **wish))

    def later(self, seconds: float) -> None:
        self.node.clock.advance(seconds)
        self.captures.tick()


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(GatewayError) as error:
        act()
    return error.value.verdict.code


def test_legs_of_the_call_and_no_others_are_captured_also_later_ones(stand: Stand) -> None:
    stand.join(OTHER, LegId("l-2"), 22)
    handle = stand.begin().handle
    assert stand.packets.ports[handle] == {11}
    stand.join(CALL, LegId("l-3"), 33)
    stand.later(0.25)
    assert stand.packets.ports[handle] == {11, 33}


def test_sip_over_connections_is_captured_as_streams(stand: Stand) -> None:
    stand.begin(rtp=False)
    for transport in ("UDP", "TCP", "TLS"):
        text = request("BYE", "a@x")
        stand.node.timelines.sip(replace(packet(text, length=9000), transport=transport))
    assert stand.packets.streams == [(False, 9000), (True, 9000), (True, 9000)]


def test_sip_is_captured_from_before_with_its_true_ends(stand: Stand) -> None:
    stand.node.sip(request("INVITE", "a@x"))
    handle = stand.begin(rtp=False).handle
    stand.node.sip(request("BYE", "a@x"), sent=True)
    stand.node.sip(request("BYE", "b@x"), sent=True)
    here, there = ("127.0.0.1", 5060), ("192.0.2.7", 5070)
    assert [(a, b, data[:4]) for a, b, data in stand.packets.messages[handle]] == [
        (there, here, b"INVI"),
        (here, there, b"BYE "),
    ]
    assert stand.packets.ports[handle] == set()


def test_sip_may_be_left_out(stand: Stand) -> None:
    stand.node.sip(request("INVITE", "a@x"))
    handle = stand.begin(sip=False).handle
    assert stand.packets.messages[handle] == []


@pytest.mark.parametrize(("digits", "usual"), [(False, Privacy.DIGITS), (True, Privacy.NOTHING)])
def test_a_secret_leaves_everything_out_while_it_lasts(
    stand: Stand, digits: bool, usual: Privacy
) -> None:
    handle = stand.begin(digits=digits).handle
    stand.captures.keep_secret(OTHER, True)
    stand.captures.keep_secret(CALL, True)
    stand.captures.keep_secret(CALL, False)
    assert stand.packets.privacy[handle] == [usual, Privacy.AUDIO, usual]


def test_a_capture_that_begins_in_a_secret_leaves_it_out(stand: Stand) -> None:
    stand.captures.keep_secret(CALL, True)
    assert stand.packets.privacy[stand.begin(digits=True).handle] == [Privacy.AUDIO]


def test_a_secret_that_the_calls_end_cut_short_lasts(stand: Stand) -> None:
    handle = stand.begin(digits=True).handle
    stand.captures.keep_secret(CALL, True)
    stand.node.tell(CALL, e.CallEnded(NORMAL, True, 1, 1))
    stand.later(0.25)
    assert stand.packets.privacy[handle] == [Privacy.NOTHING, Privacy.AUDIO]
    stand.later(LINGER)
    stand.later(1)
    stand.node.begin(CALL + "-next", "b@x", "acme")
    following = stand.captures.begin(CallId(CALL + "-next"), "acme", Wish(60))
    assert stand.packets.privacy[following.handle] == [Privacy.DIGITS]


def test_one_at_a_time_and_of_the_own_project_alone(stand: Stand) -> None:
    captures = stand.captures
    assert refused(lambda: captures.begin(CALL, "other", Wish(60))) == "not_found"
    assert refused(lambda: captures.begin(OTHER, "acme", Wish(60))) == "not_found"
    assert refused(lambda: captures.begin(CALL, "acme", Wish(601))) == "bad_request"
    assert refused(lambda: captures.file(CALL, "acme")) == "not_found"
    first = stand.begin()
    assert refused(stand.begin) == "capturing"
    assert refused(lambda: captures.file(CALL, "acme")) == "capturing"
    for act in (captures.of, captures.file, captures.end):
        assert refused(lambda act=act: act(CALL, "other")) == "not_found"  # type: ignore[misc]
    captures.end(CALL, "acme")
    assert captures.file(CALL, "acme") == first.path
    stand.begin()
    assert not first.path.exists(), "the next one replaces it"


def test_it_ends_a_moment_after_its_call(stand: Stand) -> None:
    capture = stand.begin()
    stand.later(30)
    assert capture.done is None
    stand.node.tell(CALL, e.CallEnded(NORMAL, True, 1, 1))
    stand.live.clear()
    stand.later(0.25)
    assert capture.done is None
    stand.node.sip(request("BYE", "a@x"))
    stand.later(LINGER)
    assert capture.done is not None
    assert len(stand.packets.messages[capture.handle]) == 1
    assert refused(stand.begin) == "not_found"


def test_files_are_deleted_after_a_while(tmp_path: Path) -> None:
    stand = Stand(tmp_path, keep_minutes=1)
    capture = stand.begin()
    stand.later(100)
    assert capture.path.exists(), "it runs"
    stand.captures.end(CALL, "acme")
    stand.later(59)
    assert capture.path.exists()
    stand.later(1)
    assert not capture.path.exists()
    assert refused(lambda: stand.captures.of(CALL, "acme")) == "not_found"


async def test_nothing_is_left_by_a_stop_or_a_crash(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    left = tmp_path / "captures" / "c-old-1.pcap"
    left.parent.mkdir()
    left.touch()
    (left.parent / "notes.txt").touch()
    stand.captures.start()
    assert not left.exists()
    capture = stand.begin()
    assert capture.path.exists()
    await stand.captures.close()
    assert [path.name for path in left.parent.iterdir()] == ["notes.txt"]
