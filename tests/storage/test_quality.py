"""The E-model against what ITU-T published."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.storage.quality import (
    CONCEALED,
    R_DEFAULT,
    Codec,
    delay_impairment,
    equipment,
    mos,
    one_way_ms,
    score,
)


@pytest.mark.parametrize(
    ("rating", "expected"),
    [
        (93.2, 4.41),
        (90, 4.34),
        (80, 4.03),
        (70, 3.60),
        (60, 3.10),
        (50, 2.58),
    ],
)
def test_scores_of_g107_annex_b_and_g109_table_1(rating: float, expected: float) -> None:
    assert score(rating) == pytest.approx(expected, abs=0.01)


def test_scores_end_where_the_scale_ends() -> None:
    assert (score(-5), score(0), score(100), score(120)) == (1.0, 1.0, 4.5, 4.5)


@pytest.mark.parametrize(("delay", "expected"), [(0, 0), (100, 0)])
def test_a_short_delay_costs_nothing(delay: float, expected: float) -> None:
    assert delay_impairment(delay) == expected


def test_delays_cost_what_g114_figure_1_shows() -> None:
    """As far as that figure can be read: R 92 at 150 ms, 84 at 250 ms, 70 at 400 ms."""
    ratings = [R_DEFAULT - delay_impairment(delay) for delay in (150, 250, 400)]
    assert ratings == [pytest.approx(92, abs=3), pytest.approx(84, abs=4), pytest.approx(70, abs=4)]


def test_losses_cost_what_g113_says() -> None:
    """G.113 Appendix I, table I.4: Bpl 25.1 with concealment, 4.3 without; 19.0 for G.729A."""
    assert equipment(CONCEALED, 0.02) == pytest.approx(95 * 2 / 27.1)
    assert equipment(Codec(0, 4.3), 0.02) == pytest.approx(95 * 2 / 6.3)
    assert equipment(Codec(11, 19.0), 0.0) == 11


def test_a_perfect_call_and_a_broken_one() -> None:
    assert mos("pcmu/8000", 0.0, 30) == 4.41
    assert 3.9 < mos("opus/48000", 0.02, 80) < 4.3
    assert mos("pcma/8000", 0.5, 500) < 1.5


@given(
    st.floats(0, 1),
    st.floats(0, 5000),
    st.sampled_from(["pcmu/8000", "opus/48000", "g722/8000", ""]),
)
def test_more_loss_and_more_delay_are_never_better(loss: float, delay: float, codec: str) -> None:
    here = mos(codec, loss, delay)
    assert 1.0 <= here <= 4.5
    assert mos(codec, min(loss + 0.05, 1), delay) <= here
    assert mos(codec, loss, delay + 50) <= here


def test_delay_is_half_the_round_trip_a_packet_and_the_jitter_buffer() -> None:
    assert one_way_ms(rtt_ms=100, jitter_ms=5) == 80
