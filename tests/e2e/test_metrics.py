"""What the running service tells Prometheus, and what the rules and the dashboard make of it."""

import asyncio
import json
import re
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.backends import Backend
from tests.builders import transaction_json
from tests.e2e.program import addresses_of, started
from tests.faults.test_service_faults import FREE_PORTS, WHALE_SAT, Telling, alerts_of

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/hydrophone.rules.yml"
RULE_TESTS = ROOT / "deploy/prometheus/hydrophone.rules.test.yml"
DASHBOARD = ROOT / "deploy/grafana/hydrophone.json"
METRIC = re.compile(r"\bhydrophone_[a-z0-9_]+")
SAMPLE = re.compile(r"([a-z0-9_]+)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-z_]+)="([^"]*)"')

Labels = frozenset[tuple[str, str]]


class Page:
    """A page of metrics, read."""

    def __init__(self, text: str) -> None:
        self.kinds: dict[str, str] = {}
        self.helps: dict[str, str] = {}
        self.samples: dict[str, dict[Labels, float]] = defaultdict(dict)
        for line in text.splitlines():
            if line.startswith("# "):
                _, what, name, said = line.split(" ", 3)
                (self.helps if what == "HELP" else self.kinds)[name] = said
                continue
            found = SAMPLE.fullmatch(line)
            assert found is not None, line
            labels = frozenset(LABEL.findall(found[2] or ""))
            assert labels not in self.samples[found[1]], f"{line} is there twice"
            self.samples[found[1]][labels] = float(found[3])

    def value(self, name: str, **labels: str) -> float:
        return self.samples[f"hydrophone_{name}"][frozenset(labels.items())]

    def sum_of(self, name: str) -> float:
        return sum(self.samples[f"hydrophone_{name}"].values())

    @property
    def names(self) -> set[str]:
        """All that may be asked for: of a histogram, each of its parts."""
        parts = {
            f"{n}{p}"
            for n, k in self.kinds.items()
            if k == "histogram"
            for p in ("_bucket", "_sum", "_count")
        }
        return set(self.kinds) | parts


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return asyncio.run(_page(tmp_path_factory.mktemp("metrics")))


async def _page(folder: Path) -> Page:
    """Let a service hear three whales, one of which has to be looked up, and a block; return its metrics."""
    telling = Telling()
    async with (
        Backend(telling) as backend,
        started("run", "--source", backend.url(), *FREE_PORTS, cwd=folder) as program,
        alerts_of(program) as alerts,
    ):
        telling.whales("one", "two")
        await alerts.until("whale_alert", "two")
        telling.change(added=[transaction_json("looked up", [WHALE_SAT], has_prevouts=False)])
        await alerts.until("whale_alert", "looked up")
        telling.block(100, "one")
        await alerts.until("status_update", "one", new_status="confirmed")
        url = (await addresses_of(program)).api_url

        def fetch(path: str) -> str:
            with urllib.request.urlopen(f"{url}{path}", timeout=5) as answer:
                return str(answer.read().decode())

        await asyncio.to_thread(fetch, "api/v1/predictions")
        text = await asyncio.to_thread(fetch, "metrics")
        await program.stop()
    return Page(text)


def test_names_follow_prometheus_conventions(page: Page) -> None:
    for name, kind in page.kinds.items():
        assert re.fullmatch(r"hydrophone_[a-z0-9_]+", name), name
        assert name.endswith("_total") == (kind == "counter"), name
        assert kind != "histogram" or name.endswith("_seconds"), name
        assert not re.search(r"_(ms|mb|megabytes|milliseconds|percent|minutes|hours|days)$", name), name
    assert page.helps.keys() == page.kinds.keys()
    assert len(page.kinds) >= 60


def test_every_sample_is_of_a_metric_that_is_described(page: Page) -> None:
    assert page.samples.keys() <= page.names
    histograms = [name for name, kind in page.kinds.items() if kind == "histogram"]
    for name in histograms:
        counts = page.samples[f"{name}_count"]
        for labels, count in counts.items():
            buckets = {
                dict(found)["le"]: value
                for found, value in page.samples[f"{name}_bucket"].items()
                if frozenset(pair for pair in found if pair[0] != "le") == labels
            }
            values = [buckets[le] for le in sorted(buckets, key=float)]
            assert values == sorted(values)
            assert buckets["+Inf"] == count > 0


def test_what_happened_is_counted(page: Page) -> None:
    quick = {"source": "mempool.space", "looked_up": "no"}
    slow = quick | {"looked_up": "yes"}
    assert page.value("signals_total") == 3
    assert page.value("signal_stored_seconds_count", **quick) == 2
    assert page.value("signal_published_seconds_count", **quick) == 2
    assert page.value("signal_published_seconds_count", **slow) == 1
    assert page.value("signal_published_seconds_sum", **quick) < 2.0
    assert page.value("outcomes_total", kind="confirmed") == 1
    assert page.value("outcomes_total", kind="dropped") == 0
    assert page.value("predictions_pending") == 2
    assert page.value("alert_clients") == 1
    assert page.value("source_connected") == page.value("mempool_available") == 1
    assert 0 <= page.value("source_last_frame_age_seconds") < 60
    assert page.value("source_lookups_total") > 0
    assert page.value("store_commit_seconds_count") >= 2
    assert page.value("store_commits_failed_total") == 0
    assert page.value("store_file_bytes") > 0
    assert page.value("store_free_bytes") > 0
    assert page.value("resident_memory_bytes") > 30e6
    assert page.value("memory_level") == 0
    assert page.value("memory_shed_total", what="replay") == 0
    assert page.value("queue_capacity", queue="effects") == 4096
    assert page.value("queue_full_seconds", queue="effects") == 0
    assert 5 < page.value("open_files") < page.value("open_files_limit")
    assert page.value("threads") > 3
    assert "hydrophone_accuracy_within_p90_ratio" in page.kinds
    assert page.samples["hydrophone_accuracy_within_p90_ratio"] == {}, "insufficient data is no figure"


def rules() -> list[dict[str, Any]]:
    found = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in found["groups"] for rule in group["rules"]]


def queries_of(panels: list[dict[str, Any]]) -> Iterator[str]:
    for panel in panels:
        yield from (target["expr"] for target in panel.get("targets", ()))
        yield from queries_of(panel.get("panels", []))


def test_every_metric_of_a_rule_is_served(page: Page) -> None:
    used = {name for rule in rules() for name in METRIC.findall(rule["expr"])}
    assert used <= page.names
    assert len(used) >= 20


def test_every_metric_that_a_rule_or_a_page_advises_to_look_at_is_served(page: Page) -> None:
    texts = [text for rule in rules() for text in rule["annotations"].values()]
    texts += [path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")]
    named = {name for text in texts for name in METRIC.findall(text) if not name.endswith("_")}
    assert named <= page.names
    assert named


def test_every_rule_says_what_is_wrong_and_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), rule["alert"]
        assert rule["annotations"].keys() == {"summary", "description"}, rule["alert"]
        assert len(rule["annotations"]["description"]) > 40, rule["alert"]
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names) >= 20


def test_every_metric_of_the_dashboard_is_served(page: Page) -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    queries = list(queries_of(dashboard["panels"]))
    used = {name for query in queries for name in METRIC.findall(query)}
    assert used <= page.names
    assert len(used) >= 30
    assert all('job="$job"' in query for query in queries)
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)


def test_every_label_value_that_is_asked_for_exists(page: Page) -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    queries = [*queries_of(dashboard["panels"]), *(rule["expr"] for rule in rules())]
    known = {pair for samples in page.samples.values() for labels in samples for pair in labels}
    asked = {pair for query in queries for pair in LABEL.findall(query) if pair[0] not in ("job", "instance")}
    assert asked <= known
    assert ("looked_up", "no") in asked
