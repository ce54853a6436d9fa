"""The page about looking inside: its reference of metrics is what a node really has."""

from __future__ import annotations

import re

import yaml
from prometheus_client.parser import text_string_to_metric_families

from gateway.config.document import parse_document
from gateway.config.loader import config_from
from tests.observability.test_scrape import ALERTS, PAGE, alert_rules

_ROW = re.compile(r"^\| `((?:gateway|process)_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", re.MULTILINE)
_YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_reference_of_metrics_is_complete_and_true(scrape: str) -> None:
    rows = _ROW.findall(PAGE.read_text())
    told = {name: (kind, labels, says) for name, kind, labels, says in rows}
    real = {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in text_string_to_metric_families(scrape)
    }
    assert told.keys() == real.keys()
    for name, family in real.items():
        kind, labels, says = told[name]
        assert (kind, says) == (family.type, family.documentation)
        if family.samples:
            seen = {label for each in family.samples for label in each.labels} - {"le"}
            assert set(re.findall(r"`(\w+)`", labels)) == seen, name


def test_the_settings_on_the_page_are_good() -> None:
    [tracing] = [text for text in _YAML.findall(PAGE.read_text()) if text.startswith("tracing:")]
    document = parse_document(f"dialplan: x\n{tracing}")
    found = config_from(document, {"OTLP_AUTHORIZATION": "Bearer x"}).tracing
    assert found is not None
    assert found.endpoint == "http://collector.example:4318/v1/traces"
    assert found.headers[0].secret.get_secret_value() == "Bearer x"
    assert "Bearer x" not in repr(found)


def test_the_scrape_job_on_the_page_is_the_deployed_one() -> None:
    [job] = [text for text in _YAML.findall(PAGE.read_text()) if text.startswith("scrape_configs:")]
    deployed = yaml.safe_load((ALERTS.parent / "prometheus.yml").read_text())
    assert yaml.safe_load(job)["scrape_configs"] == deployed["scrape_configs"]
    assert len(list(alert_rules())) == 15
