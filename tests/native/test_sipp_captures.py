"""The digits that SIPp plays (dtmf_2833_*.pcap of the Debian package sip-tester) are heard."""

from __future__ import annotations

import pytest

from tests.native.captures import DURATION_MS, NAMES, read, row
from tests.native.library import Native
from tests.native.network import Arrivals
from tests.native.receiver import Receiver, keys, pair_up


@pytest.mark.parametrize("name", NAMES)
def test_one_digit(native: Native, name: str) -> None:
    heard = pair_up(Receiver(native).feed(read(name)))
    assert keys(heard) == NAMES[name]
    assert [h.duration_ms for h in heard] == [DURATION_MS]


def test_all_digits_in_one_call(native: Native) -> None:
    """Also backwards: then nearly every timestamp is older than the one before."""
    for names in (list(NAMES), list(NAMES)[::-1]):
        heard = pair_up(Receiver(native).feed(row(names)))
        assert keys(heard) == "".join(NAMES[name] for name in names)
        assert {h.duration_ms for h in heard} == {DURATION_MS}


def test_the_same_capture_again_and_again(native: Native) -> None:
    """Each time the same SSRC and timestamp."""
    arrivals: Arrivals = []
    for name in ("1", "1", "2", "1", "1"):
        arrivals += read(name, arrivals[-1][0] + 1_000_000 if arrivals else 0)
    heard = pair_up(Receiver(native).feed(arrivals))
    assert keys(heard) == "11211"
    assert {h.duration_ms for h in heard} == {DURATION_MS}
