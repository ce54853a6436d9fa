"""Runs life.py in a process of its own: memory is to be seen."""

from __future__ import annotations

import pytest

from tests.support.own_process import assert_passes_alone


@pytest.mark.slow
def test_calls_planes_and_pings_leave_nothing_behind() -> None:
    assert_passes_alone("tests/sip/life.py", tests=9)
