"""What only one of two runs has is told, and a lost figure of ours is a failure."""

import json
from dataclasses import replace
from pathlib import Path

from typer.testing import CliRunner
from typer.testing import Result as Answer

from benchmarks.results import Result
from tests.benchmarks.simulated import result_of, save, simulated_run
from vla_embeddings.cli import bench as cli

RUN = simulated_run(1)


def compared(old: Path, new: Path, *options: str) -> Answer:
    return CliRunner().invoke(cli.app, ["compare", str(old), str(new), *options])


def saved(folder: Path, *results: Result) -> Path:
    for each in results:
        each.save(folder)
    return folder


def test_a_lost_figure_of_ours_is_named_and_the_exit_status_is_1(tmp_path: Path) -> None:
    old = save(RUN, tmp_path / "old")
    new = save([row for row in RUN if row.work != "one image" or row.whose != "ours"], tmp_path)
    answer = compared(old, new)
    assert answer.exit_code == 1
    assert "lost latency, quick size: one image: ours fp32" in answer.stdout
    assert compared(new, old).exit_code == 0
    assert "new alone latency, quick size: one image: ours fp32" in compared(new, old).stdout


def test_a_quality_of_ours_that_is_no_longer_measured_is_lost(tmp_path: Path) -> None:
    old = save(RUN, tmp_path / "old")
    bare = [replace(row, quality=None) if row.work == "one image" else row for row in RUN]
    answer = compared(old, save(bare, tmp_path / "new"))
    assert answer.exit_code == 1
    assert [line for line in answer.stdout.splitlines() if "latency, quick" in line] == [
        "lost latency, quick size: one image, quality: ours fp32"
    ]


def test_a_figure_of_ours_under_another_name_is_lost_too(tmp_path: Path) -> None:
    share = replace(RUN[0], work="one inference", subject="share in time", role="ours")
    old = save([*RUN, share], tmp_path / "old")
    assert compared(old, save(RUN, tmp_path / "new")).exit_code == 1


def test_a_lost_peer_is_named_and_no_failure(tmp_path: Path) -> None:
    old = save(RUN, tmp_path / "old")
    new = save([row for row in RUN if row.subject != "openvino 2026.4.1"], tmp_path / "new")
    answer = compared(old, new)
    assert answer.exit_code == 0
    assert "old alone latency, quick size: one image: openvino 2026.4.1" in answer.stdout


def test_a_suite_that_failed_is_lost(tmp_path: Path) -> None:
    latency, cache = result_of(RUN), result_of(RUN, "cache")
    old = saved(tmp_path / "old", latency, cache)
    new = saved(tmp_path / "new", latency, result_of([], "cache"))
    answer = compared(old, new)
    assert answer.exit_code == 1
    assert "lost cache, quick size: all of it" in answer.stdout


def test_a_suite_of_another_size_is_lost_and_told_on_both_sides(tmp_path: Path) -> None:
    latency, cache = result_of(RUN), result_of(RUN, "cache")
    old = saved(tmp_path / "old", latency, replace(cache, size="full"))
    new = saved(tmp_path / "new", latency, cache)
    answer = compared(old, new, "--json")
    assert answer.exit_code == 1
    alone = json.loads(answer.stdout)["alone"]
    assert [(each["side"], each["size"], each["work"]) for each in alone] == [
        ("new", "quick", ""),
        ("old", "full", ""),
    ]


def test_runs_of_the_same_figures_have_nothing_alone(tmp_path: Path) -> None:
    old = save(RUN, tmp_path / "old")
    assert json.loads(compared(old, old, "--json").stdout)["alone"] == []
