"""Runs churn.py in a process of its own: memory is to be seen."""

from __future__ import annotations

import pytest

from tests.support.own_process import assert_passes_alone


@pytest.mark.slow
def test_200_legs_leave_nothing() -> None:
    assert_passes_alone("tests/webrtc/churn.py", tests=1)
