"""What operators are told to watch exists."""

import ast
import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.blocks import code_blocks, run_block
from vla_embeddings import EmbeddingService
from vla_embeddings.inference import Fate
from vla_embeddings.metrics import COLLECTORS
from vla_embeddings.search import Database, cosine_similarity_search

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OPERATIONS = (DOCS / "operations.md").read_text()
DASHBOARD: dict[str, Any] = json.loads((DOCS / "grafana-dashboard.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel.get("targets", [])]

SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
}


def exposed() -> set[str]:
    """The names under which Prometheus finds our metrics."""
    families = [family for collector in COLLECTORS for family in collector.collect()]
    return {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}


def labels() -> set[str]:
    """The labels of our metrics, and those that Prometheus adds."""
    ours = {label for collector in COLLECTORS for label in collector._labelnames}
    return ours | {"le", "instance"}


@pytest.mark.parametrize("expression", [*EXPRESSIONS, *code_blocks(OPERATIONS, "promql")])
def test_every_query_asks_for_a_metric_and_labels_of_ours(expression: str) -> None:
    named = set(re.findall(r"\b(?:embedding|similarity)_\w+", expression))
    grouped = re.findall(r"by \(([^)]*)\)", expression)
    matched = re.findall(r"[{,](\w+)=", expression)

    assert named
    assert named <= exposed()
    assert {label.strip() for group in grouped for label in group.split(",")} <= labels()
    assert set(matched) <= labels()


def test_every_metric_is_on_the_dashboard() -> None:
    for collector in COLLECTORS:
        [family] = collector.collect()
        assert any(family.name in expression for expression in EXPRESSIONS), family.name


def test_the_dashboard_has_what_grafana_needs_to_load_it() -> None:
    assert DASHBOARD["title"]
    assert DASHBOARD["schemaVersion"] >= 36
    assert [variable["type"] for variable in DASHBOARD["templating"]["list"]] == ["datasource"]
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        assert panel["title"]
        assert panel["type"] in {"row", "timeseries", "stat"}
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        for target in panel.get("targets", []):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_no_panel_of_the_dashboard_covers_another() -> None:
    for one, other in combinations([panel["gridPos"] for panel in PANELS], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or apart


async def test_the_platforms_own_registry_collects_every_metric(
    service: EmbeddingService,
) -> None:
    names: dict[str, Any] = {}
    for block in code_blocks(OPERATIONS, "python"):
        await run_block(block, names)
    registry = names["registry"]
    assert isinstance(registry, CollectorRegistry)
    generated = ("embedding_generation_seconds_count", {"kind": "instruction"})
    before = registry.get_sample_value(*generated) or 0.0

    await service.get_instruction_embedding("counted in both registries")

    assert registry.get_sample_value(*generated) == before + 1
    assert {family.name for family in registry.collect()} == {
        family.name for collector in COLLECTORS for family in collector.collect()
    }


def _logged_fields() -> set[str]:
    """The keys of every `extra={...}` in the sources."""
    calls = (
        keyword.value
        for folder in ("vla_embeddings", "cache", "export", "models", "runtime", "search")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "extra" and isinstance(keyword.value, ast.Dict)
    )
    return {ast.literal_eval(key) for extra in calls for key in extra.keys if key is not None}


def test_every_field_of_a_log_record_is_explained() -> None:
    table = OPERATIONS[OPERATIONS.index("| field |") : OPERATIONS.index("Levels: ")]
    first_cells = " ".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE))
    explained = set(re.findall(r"`(\w+)`", first_cells)) - {"instruction", "image"}

    assert explained == _logged_fields()


async def test_a_search_says_where_it_looked_what_it_found_and_how_long_it_took(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "vla_embeddings.search")

    await cosine_similarity_search(db, "context_metadata", "image_embedding", [1.0] * 512)

    fields = caplog.records[-1].__dict__
    assert (fields["table"], fields["results"]) == ('"public"."context_metadata"', 0)
    assert fields["seconds"] > 0


def test_every_reason_for_a_loss_is_explained() -> None:
    for fate in set(Fate) - {Fate.STORED, Fate.WAITING, Fate.WITHDRAWN}:
        assert f"`{fate}`" in OPERATIONS
