"""Runs churn.py in a process of its own: pjsua is one per process."""

from __future__ import annotations

import pytest

from tests.support.own_process import assert_passes_alone


@pytest.mark.slow
def test_200_calls_leave_nothing() -> None:
    assert_passes_alone("tests/app/churn.py", tests=1)
