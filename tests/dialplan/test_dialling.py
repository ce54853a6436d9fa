"""Dialling: who is called for a dial, from a plan or from a program, and who is left out."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.dialplan import (
    Decision,
    DialOut,
    DialTrunk,
    DialUser,
    Origin,
    Request,
    Route,
    arrived,
    resolve,
)
from gateway.errors import GatewayError
from gateway.verbs import Dial, Strategy
from tests.dialplan.plans import ask, plan, problems, rule, status

COSTS = """
trunks:
  cheap: {costs: {"+44": "0.012", "+": "0.09"}}
  mobile: {costs: {"+44": 0.05, "+447": "0.02", "+1": 0}}
  plain: {outgoing: {strip: "+", prefix: "00"}, callers: {allow: _+44., default: "+44000"}}
contexts:
  browser:
    numbers: {country: GB}
    destinations: {deny: {countries: FR}}
    rules:
      - match: _.
        dial:
          strategy: least_cost
          ring_timeout: 20
          targets:
            - {user: desk, ring_timeout: 5}
            - {trunk: plain, number: "${callee}"}
            - {trunk: mobile, number: "${callee}"}
            - {trunk: cheap, number: "${callee}", headers: {X-Who: "${caller}"}}
"""
MOBILE, FIXED, AMERICAN, FRENCH = "+447400123456", "+442079460000", "+14155550100", "+33123456789"


def dialled(decision: Decision) -> DialOut:
    assert isinstance(decision.outcome, Route), decision.outcome
    assert isinstance(decision.outcome.action, DialOut), decision.outcome
    return decision.outcome.action


def names(dial: DialOut) -> list[str]:
    return [one.trunk if isinstance(one, DialTrunk) else one.user for one in dial.targets]


# ---- least cost -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("callee", "order"),
    [
        (FIXED, ["cheap", "mobile", "desk", "plain"]),
        (MOBILE, ["cheap", "mobile", "desk", "plain"]),
        ("07400123456", ["cheap", "mobile", "desk", "plain"]),  # made E.164 first
        (AMERICAN, ["mobile", "cheap", "desk", "plain"]),
        ("+493012345678", ["cheap", "desk", "plain", "mobile"]),
        ("200", ["desk", "plain", "mobile", "cheap"]),  # no E.164 number, no price
    ],
)
def test_the_cheapest_comes_first_and_who_has_no_price_last_as_written(
    callee: str, order: list[str]
) -> None:
    assert names(dialled(ask(COSTS, callee))) == order


def test_the_longest_prefix_has_the_price_whatever_the_order() -> None:
    text = COSTS.replace('"+44": 0.05, "+447": "0.02"', '"+447": "0.001", "+44": 0.05')
    assert names(dialled(ask(text, MOBILE)))[:2] == ["mobile", "cheap"]
    assert names(dialled(ask(text, FIXED)))[:2] == ["cheap", "mobile"]


def test_prices_are_compared_as_written_and_equal_ones_keep_their_order() -> None:
    text = COSTS.replace('"+44": 0.05, "+447": "0.02"', '"+447": 0.0120')
    assert names(dialled(ask(text, MOBILE)))[:2] == ["mobile", "cheap"]


@pytest.mark.parametrize("costs", ["{44: 1}", "{+44: -1}", "{+44: cheap}", "{+44: nan}"])
def test_prices_that_are_none_are_found(costs: str) -> None:
    assert problems(f"trunks: {{t: {{costs: {costs}}}}}\ncontexts: {{}}\n")


# ---- each target by its trunk's and context's rules -----------------------------------------


def test_every_target_has_its_trunks_numbers_and_identities() -> None:
    found = dialled(ask(COSTS, FIXED, "02079460999"))
    assert found.targets == (
        DialTrunk("cheap", FIXED, "+442079460999", 20, {"X-Who": "+442079460999"}),
        DialTrunk("mobile", FIXED, "+442079460999", 20),
        DialUser("desk", "+442079460999", 5),
        DialTrunk("plain", "00442079460000", "+442079460999", 20),
    )
    shown = {one.trunk: one.caller for one in dialled(ask(COSTS, FIXED, "bob")).targets
             if isinstance(one, DialTrunk)}  # fmt: skip
    assert shown == {"cheap": "bob", "mobile": "bob", "plain": "+44000"}


def test_a_refused_target_is_left_out_and_looked_at() -> None:
    found = ask(COSTS, FRENCH)
    assert names(dialled(found)) == ["desk"]
    reasons = [str(look) for look in found.looks]
    assert "browser[1] _.: target 2 is left out: the destination's country is denied" in reasons
    assert FRENCH not in "".join(reasons)


def test_when_all_are_refused_the_call_is() -> None:
    text = """
    contexts:
      browser:
        destinations: {deny: {prefixes: "+33"}}
        rules:
          - {name: a, match: _+., dial: {targets: [{trunk: t, number: "${callee}"},
                                                   {trunk: u, number: "${vars.none}"}]}}
          - {name: b, match: _., dial: {targets: [{user: "${vars.none}"},
                                                  {trunk: u, number: "${vars.none}"}]}}
          - {name: c, match: _., echo: }
    """
    assert status(ask(text, FRENCH)) == 403
    assert names(dialled(ask(text, "+4930"))) == ["t"]
    assert rule(ask(text, "1")) == "c"  # nobody can be called by b


def test_what_is_said_of_the_dial_goes_along() -> None:
    text = """
    contexts:
      browser:
        - {match: a, dial: {user: x, music: m.wav, confirm: "1", after_talk: go_on}}
        - {match: b, dial: {user: x}}
    """
    how = dialled(ask(text, "a")).how
    assert (how.music, how.confirm, how.after_talk) == ("m.wav", "1", "go_on")
    assert how.strategy is Strategy.SIMULTANEOUS
    assert dialled(ask(text, "b")) == DialOut((DialUser("x", ""),))


# ---- rounds ---------------------------------------------------------------------------------


def round_of(targets: str, callee: str = "1", more: str = "") -> str:
    text = f"""
    contexts:
      browser: [{{match: _., dial: {{strategy: round_robin{more}, targets: {targets}}}}}]
    """
    return dialled(ask(text, callee)).group


def test_a_round_is_known_by_its_targets_as_written() -> None:
    desks = "[{user: a}, {user: b}]"
    assert round_of(desks)
    assert round_of(desks) == round_of(desks, "2")
    assert round_of(desks) != round_of("[{user: b}, {user: a}]")
    carriers = '[{trunk: a, number: "${callee}"}, {trunk: b, number: "${callee}"}]'
    assert round_of(carriers, "200") == round_of(carriers, "300")
    assert round_of(carriers) != round_of(carriers.replace("callee", "dialled"))
    assert round_of(desks, more=", group: sales") == "sales"


def test_a_programs_round_is_known_by_its_targets() -> None:
    text = "contexts: {browser: }"
    dial = Dial.model_validate(
        {"strategy": "round_robin", "targets": [{"user": "a"}, {"user": "b"}]}
    )
    facts = arrived(plan(text), Request("browser", "", "1"))
    assert resolve(plan(text), facts, dial).group == resolve(plan(text), facts, dial).group
    other = Dial.model_validate({"strategy": "round_robin", "targets": [{"user": "b"}]})
    assert resolve(plan(text), facts, dial).group != resolve(plan(text), facts, other).group


# ---- programs, REST, webhooks ---------------------------------------------------------------

POLICY = """
emergency: {numbers: "112", trunk: safe}
trunks: {t: {outgoing: {strip: "+", prefix: "00"}, callers: {allow: _+1.}}}
contexts:
  browser: {numbers: {country: US, strip: "9"}, destinations: {allow: {countries: US}}}
  crm: {}
"""


def resolved(text: str, context: str = "browser", **dial: Any) -> DialOut:
    request = Request(context, "+14155550111", "100", Origin.KEY, "crm")
    facts = arrived(plan(text), request)
    return resolve(plan(text), facts, Dial.model_validate(dial))


@pytest.mark.parametrize(
    ("number", "sent"),
    [
        ("+14155550100", "0014155550100"),
        ("4155550100", "0014155550100"),  # as somebody of the context's country means it
        ("112", "112"),
        ("911", "911"),  # the country's own
    ],
)
def test_numbers_of_programs_are_made_e164_and_emergencies_never(number: str, sent: str) -> None:
    assert resolved(POLICY, trunk="t", number=number).targets == (
        DialTrunk("t", sent, "+14155550111"),
    )


@pytest.mark.parametrize(
    ("dial", "context", "code"),
    [
        ({"trunk": "t", "number": FIXED}, "browser", "forbidden"),
        ({"trunk": "t", "number": "200"}, "browser", "forbidden"),
        ({"trunk": "t", "number": "+19005551234"}, "crm", "forbidden"),
        ({"trunk": "t", "number": "+14155550100"}, "nowhere", "forbidden"),
        ({"user": "bob"}, "nowhere", "forbidden"),
        ({"trunk": "t", "number": "1@evil"}, "crm", "bad_request"),
        ({"trunk": "t", "number": "1" * 65}, "crm", "bad_request"),
        ({"user": ""}, "crm", "bad_request"),
        (
            {"targets": [{"trunk": "t", "number": ""}, {"trunk": "t", "number": FIXED}]},
            "browser",
            "forbidden",
        ),
    ],
)
def test_the_policies_hold_for_programs_too(
    dial: dict[str, object], context: str, code: str
) -> None:
    with pytest.raises(GatewayError) as refused:
        resolved(POLICY, context, **dial)
    assert refused.value.verdict.code == code
    assert FIXED not in refused.value.verdict.text


def test_a_program_shows_only_identities_that_may_be_shown() -> None:
    (one,) = resolved(POLICY, "crm", trunk="t", number="1", caller="+49301").targets
    assert one.caller == ""
    (one,) = resolved(POLICY, "crm", trunk="t", number="1", caller="+1415").targets
    assert one.caller == "+1415"
    (one,) = resolved(POLICY, "crm", trunk="u", number="1", caller="5>;<sip:x").targets
    assert one.caller == ""
    (one,) = resolved(POLICY, "crm", trunk="t", number="1", withhold=True).targets
    assert one.caller == "anonymous"


def test_what_a_plan_dials_is_made_e164_too() -> None:
    text = """
    contexts:
      browser:
        numbers: {country: US}
        rules: [{match: _8(X.), dial: {trunk: t, number: "${1}"}}]
    """
    (one,) = dialled(ask(text, "84155550100")).targets
    assert isinstance(one, DialTrunk)
    assert one.number == "+14155550100"
