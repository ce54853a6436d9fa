"""A real node's metrics, and what operators are given to look at them: dashboard, alerts, page."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "gateway.json"
ALERTS = ROOT / "deploy" / "prometheus-alerts.yml"
CONFIG = ROOT / "deploy" / "prometheus.yml"
PAGE = ROOT / "docs" / "observability.md"
_STRINGS = re.compile(r'"[^"]*"')
_METRIC = re.compile(r"\b(?:gateway|process)_\w+")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*(?=\")")
_BY = re.compile(r"\b(?:by|on|without)\s*\(([^)]*)\)")
FROM_PROMETHEUS = {"instance", "job", "le"}
"""Labels that scraping adds, and the one of histogram buckets."""


def promtool(*arguments: str | Path, text: str = "") -> str:
    """Prometheus's own tool; what it says. It must find nothing wrong."""
    done = subprocess.run(
        ["promtool", *map(str, arguments)], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def families(scrape: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(scrape)}


def series(scrape: str) -> set[str]:
    """Names that a query may use, also where nothing has happened yet."""
    names = set()
    for name, family in families(scrape).items():
        if family.type == "histogram":
            names |= {f"{name}_{end}" for end in ("bucket", "count", "sum")}
        else:
            names.add(f"{name}_total" if family.type == "counter" else name)
    return names


def panel_queries() -> list[tuple[str, str]]:
    """Title and expression of everything that the dashboard shows."""
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return [(p["title"], t["expr"]) for p in panels for t in p.get("targets", [])]


def alert_rules() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        yield from group["rules"]


def queries() -> list[tuple[str, str]]:
    return [*panel_queries(), *((rule["alert"], rule["expr"]) for rule in alert_rules())]


# ---- what is scraped ------------------------------------------------------------------------


def test_prometheus_has_no_complaint_about_names_and_types(scrape: str) -> None:
    assert promtool("check", "metrics", text=scrape) == ""


def test_a_call_through_a_trunk_is_in_every_family(scrape: str) -> None:
    """Nothing is defined that a call and a request do not fill, but for what never happened."""
    empty = {name for name, family in families(scrape).items() if not family.samples}
    # RTCP may not have told a round trip yet in so short a call.
    assert empty <= {"gateway_media_silences", "gateway_verbs_started", "gateway_leg_rtt_seconds"}


@pytest.mark.parametrize(
    ("sample", "labels", "least", "most"),
    [
        ("gateway_calls_started_total", {"trunk": ""}, 1, 1),
        ("gateway_calls_started_total", {"trunk": "loop"}, 1, 1),
        ("gateway_calls_ended_total", {"code": "normal", "blame": "nobody"}, 2, 2),
        ("gateway_call_setup_seconds_count", {"stage": "answered"}, 2, 2),
        ("gateway_call_setup_seconds_sum", {"stage": "answered"}, 0.001, 10),
        ("gateway_post_dial_delay_seconds_count", {"kind": "sip", "trunk": "loop"}, 1, 1),
        ("gateway_leg_mos_count", {"kind": "webrtc"}, 1, 1),
        ("gateway_leg_mos_sum", {"kind": "webrtc"}, 3.5, 4.5),
        ("gateway_leg_loss_ratio_count", {"kind": "sip", "direction": "rx"}, 2, 2),
        ("gateway_rtp_packets_total", {"kind": "webrtc", "direction": "tx"}, 100, 5000),
        ("gateway_dtmf_digits_total", {"kind": "webrtc", "what": "received"}, 1, 1),
        ("gateway_calls_live", {}, 0, 0),
        ("gateway_legs_live", {"kind": "sip"}, 0, 0),
        ("gateway_trunk_failures_in_a_row", {"trunk": "gone"}, 0, 0),
        ("gateway_trunk_up", {"trunk": "loop"}, 1, 1),
        ("gateway_trunk_options_rtt_seconds", {"trunk": "loop"}, 1e-5, 1),
        ("gateway_media_clock_ticks_total", {}, 100, 10**6),
        ("gateway_sip_messages_lost_total", {}, 0, 0),
        ("gateway_events_total", {}, 20, 1000),
        ("gateway_event_loop_lag_seconds_count", {}, 3, 1000),
        ("gateway_http_requests_total", {"route": "/healthz", "status": "200"}, 1, 1),
        ("gateway_http_requests_total", {"route": "none", "status": "404"}, 1, 1),
        ("gateway_http_requests_total", {"route": "/v1/webrtc/calls", "status": "201"}, 1, 1),
        ("gateway_http_requests_total", {"route": "none", "status": "405"}, 1, 1),
        ("gateway_build_info", {"version": "0.1.0"}, 1, 1),
        ("process_open_fds", {}, 5, 10_000),
    ],
)
def test_what_a_call_and_some_requests_add(
    scrape: str, sample: str, labels: dict[str, str], least: float, most: float
) -> None:
    found = [
        each.value
        for family in families(scrape).values()
        for each in family.samples
        if each.name == sample and labels.items() <= each.labels.items()
    ]
    assert found, f"no {sample} {labels}"
    assert all(least <= value <= most for value in found), found


def test_paths_are_in_no_label(scrape: str) -> None:
    assert "nobody/verbs" not in scrape
    assert "such" not in scrape


# ---- what operators are given ---------------------------------------------------------------


@pytest.mark.parametrize(("name", "query"), queries())
def test_what_is_queried_exists(scrape: str, name: str, query: str) -> None:
    outside = _STRINGS.sub('""', query)
    asked = set(_METRIC.findall(outside))
    assert asked <= series(scrape)
    assert asked or query == 'up{job="gateway"} == 0'
    labels = set(_MATCHER.findall(query))
    labels |= {each.strip() for group in _BY.findall(outside) for each in group.split(",")}
    used = [f for f in families(scrape).values() if any(a.startswith(f.name) for a in asked)]
    known = {label for family in used for each in family.samples for label in each.labels}
    if all(family.samples for family in used):
        assert labels <= known | FROM_PROMETHEUS


def test_every_query_of_the_dashboard_parses(tmp_path: Path) -> None:
    """As recording rules, which Prometheus's own parser reads."""
    rules = [
        {"record": f"panel:{number}", "expr": expr.replace("$__rate_interval", "5m")}
        for number, (_, expr) in enumerate(panel_queries())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", file)


def test_the_dashboard_shows_each_of_our_families(scrape: str) -> None:
    shown = " ".join(query for _, query in panel_queries())
    ours = {name for name in families(scrape) if name.startswith("gateway_")}
    missing = {name for name in ours if name not in shown}
    assert missing == {"gateway_build_info"}


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_alert_rules_and_configuration_are_good() -> None:
    promtool("check", "rules", ALERTS)
    promtool("check", "config", "--syntax-only", CONFIG)
    for rule in alert_rules():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert {"summary", "remedy"} <= rule["annotations"].keys()


FIRES: dict[str, dict[str, str]] = {
    "GatewayDown": {'up{job="gateway", instance="n"}': "0x30"},
    "GatewayCallsFailByOurFault": {
        'gateway_calls_ended_total{blame="gateway", code="internal", instance="n"}': "0+1x30"
    },
    "GatewayTrunkDown": {'gateway_trunk_up{trunk="t", instance="n"}': "1x10 0x20"},
    "GatewayTrunkFailing": {'gateway_trunk_failures_in_a_row{trunk="t", instance="n"}': "3x30"},
    "GatewayMediaClockSkips": {'gateway_media_clock_skipped_ticks_total{instance="n"}': "0+10x30"},
    "GatewayMediaClockLate": {
        'gateway_media_clock_late_ticks_total{instance="n"}': "0+60x30",
        'gateway_media_clock_ticks_total{instance="n"}': "0+3000x30",
    },
    "GatewayBadAudio": {
        'gateway_leg_mos_bucket{trunk="t", le="3.3"}': "0+2x30",
        'gateway_leg_mos_bucket{trunk="t", le="+Inf"}': "0+2x30",
        'gateway_leg_mos_count{trunk="t"}': "0+2x30",
    },
    "GatewayEventLoopLate": {
        'gateway_event_loop_lag_seconds_bucket{le="0.1", instance="n"}': "0+100x30",
        'gateway_event_loop_lag_seconds_bucket{le="0.2", instance="n"}': "0+120x30",
        'gateway_event_loop_lag_seconds_bucket{le="+Inf", instance="n"}': "0+120x30",
    },
    "GatewayApiFails": {
        'gateway_http_requests_total{status="500", instance="n"}': "0+1x30",
        'gateway_http_requests_total{status="200", instance="n"}': "0+10x30",
    },
    "GatewayRecordsWait": {'gateway_records_waiting{instance="n"}': "1001x30"},
    "GatewayEventsUnprotected": {'gateway_events_unprotected{instance="n"}': "1x30"},
    "GatewayEventsLost": {'gateway_events_lost_total{instance="n"}': "0x20 1x10"},
    "GatewayWebhooksGivenUp": {'gateway_webhook_deliveries_dead{instance="n"}': "0x15 3x15"},
    "GatewayRecordsLost": {'gateway_records_lost_total{instance="n"}': "0x20 1x10"},
    "GatewayFilesRunOut": {
        'process_open_fds{job="gateway", instance="n"}': "900x30",
        'process_max_fds{job="gateway", instance="n"}': "1000x30",
    },
}
"""For each alert, the series of half an hour in which it has to fire."""


@pytest.mark.parametrize("alert", [rule["alert"] for rule in alert_rules()])
def test_alerts_fire_when_they_should_and_not_when_all_is_well(alert: str, tmp_path: Path) -> None:
    def at(time: str, values: dict[str, str], fires: bool) -> dict[str, Any]:
        given = [{"series": name, "values": text} for name, text in values.items()]
        expect = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})'
        samples = [{"labels": "{}", "value": 1}] if fires else []
        return {
            "interval": "1m",
            "input_series": given,
            "promql_expr_test": [{"expr": expect, "eval_time": time, "exp_samples": samples}],
        }

    ones = ("up", "gateway_trunk_up")
    well = {
        name: "1x30" if name.startswith(ones) else "0x30" if "max_fds" not in name else "1000x30"
        for name in FIRES[alert]
    }
    file = tmp_path / "test.yml"
    cases = [at("25m", FIRES[alert], True), at("25m", well, False)]
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "tests": cases}))
    assert "SUCCESS" in promtool("test", "rules", file)
