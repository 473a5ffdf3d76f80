"""The command line: right exit codes, one line on an error, JSON for machines."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from typer.testing import CliRunner

import vla_embeddings
from vla_embeddings.cli.app import app
from vla_embeddings.samples import make_instructions, make_scenes
from vla_embeddings.search import Database

COMMAND = Path(sys.executable).with_name("vla-embeddings")


def run(*arguments: str, status: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command and check its exit status."""
    result = subprocess.run(
        [COMMAND, *arguments],
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "120", **environment},
        capture_output=True,
        text=True,
    )
    assert result.returncode == status, result.stdout + result.stderr
    return result


def run_json(*arguments: str, status: int = 0, **environment: str) -> Any:
    """Run with --json and parse what is printed."""
    return json.loads(run(*arguments, "--json", status=status, **environment).stdout)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["export"],
        ["verify"],
        ["demo"],
        ["doctor"],
        ["providers"],
        ["backfill"],
        ["compare"],
        ["db", "init"],
        ["index", "create"],
        ["bench", "latency"],
    ],
    ids=" ".join,
)
def test_every_command_explains_itself(words: list[str]) -> None:
    answer = CliRunner().invoke(app, [*words, "--help"], prog_name="vla-embeddings")

    assert answer.exit_code == 0
    assert "Usage: vla-embeddings" in answer.stdout


def test_the_version_is_the_packages() -> None:
    answer = CliRunner().invoke(app, ["--version"])

    assert answer.stdout.strip() == vla_embeddings.__version__ == version("vla-embeddings")


def test_the_demo_does_the_whole_job(models_dir: Path) -> None:
    result = run_json(
        *("demo", "--instruction-count", "200", "--image-count", "6"),
        EMBEDDING_MODELS_DIR=str(models_dir),
    )

    assert [model["weights"] for model in result["models"]] == ["trained", "untrained"]
    assert [loading["rows"] for loading in result["loadings"]] == [200, 6]
    fridge = next(a for a in result["answers"] if a["question"] == "shut the refrigerator")
    assert all("fridge" in row["instruction"] for row in fridge["rows"])
    filtered = [a for a in result["answers"] if "openvla" in a["search"]]
    assert {row["model_type"] for answer in filtered for row in answer["rows"]} == {"openvla"}
    image = result["answers"][-1]
    assert image["rows"][0]["image_path"] == image["question"]
    assert image["rows"][0]["distance"] == pytest.approx(0, abs=1e-3)
    assert result["cache"]["total_keys"] >= 206


def test_the_demo_takes_the_users_own_inputs_and_leaves_a_given_database_as_it_was(
    models_dir: Path, tmp_path: Path, postgres_dsn: str, redis_url: str
) -> None:
    lines = [json.dumps({"text": text}) for text in make_instructions(30)]
    (tmp_path / "instructions.jsonl").write_text("\n".join(lines))
    for number, scene in enumerate(make_scenes(3)):
        scene.image.save(tmp_path / f"{number}.png")

    result = run_json(
        *("demo", "--instruction-count", "20", "--image-count", "2"),
        *("--instructions", str(tmp_path / "instructions.jsonl"), "--images", str(tmp_path)),
        EMBEDDING_MODELS_DIR=str(models_dir),
        EMBEDDING_DATABASE_URL=postgres_dsn,
        EMBEDDING_REDIS_URL=redis_url,
    )

    assert [loading["rows"] for loading in result["loadings"]] == [20, 2]
    assert result["answers"][-1]["question"] == "0.png"
    listed = run_json("index", "list", EMBEDDING_DATABASE_URL=postgres_dsn)
    assert not [index for index in listed if "demo" in json.dumps(index)]


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "holds no instruction"), ('{"words": 1}', 'a field "text"'), ("{", "JSON lines")],
)
def test_unusable_demo_inputs_are_explained(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "instructions.jsonl"
    path.write_text(content)

    result = run("demo", "--instructions", str(path), status=1)

    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_folder_without_images_is_explained(tmp_path: Path) -> None:
    assert "no file there ends in" in run("demo", "--images", str(tmp_path), status=1).stderr


def test_export_skips_what_is_up_to_date(models_dir: Path) -> None:
    [row] = run_json("export", "--model", "text", "--output", str(models_dir))

    assert (row["status"], row["weights"], row["pinned"]) == ("up to date", "trained", True)
    assert row["parity"]["max_abs_delta"] <= 1e-4


def test_without_a_gpu_export_tensorrt_makes_the_graph_and_says_that_it_built_no_engine(
    models_dir: Path,
) -> None:
    words = ("export", "--model", "text", "--tensorrt", "--output", str(models_dir))

    plain, tensorrt = run_json(*words)

    assert (plain["precision"], tensorrt["precision"]) == ("fp32", "fp16-tensorrt")
    assert "engine" not in plain
    assert tensorrt["engine"]["status"] == "not built"
    assert "vla-embeddings[tensorrt]" in tensorrt["engine"]["detail"]


def test_on_a_machine_without_the_weights_the_tensorrt_graph_is_taken_as_it_is(
    models_dir: Path, tmp_path: Path
) -> None:
    words = ("export", "--model", "text", "--tensorrt", "--source", str(tmp_path / "nowhere"))

    [row] = run_json(*words, "--output", str(models_dir))
    nothing = run(*words, "--output", str(tmp_path), status=1)

    assert (row["precision"], row["status"]) == ("fp16-tensorrt", "as found")
    assert row["engine"]["status"] == "not built"
    assert "No weights of all-MiniLM-L6-v2" in nothing.stderr


def test_providers_shows_what_runs_each_exported_model(models_dir: Path) -> None:
    rows = run_json("providers", "--device", "cpu", EMBEDDING_MODELS_DIR=str(models_dir))

    assert [row["model"] for row in rows] == [
        "all-MiniLM-L6-v2",
        "clip-vit-base-patch32",
        "clip-vit-base-patch32-text",
    ]
    for row in rows:
        assert row["nodes"].keys() == {"CPUExecutionProvider"}
        assert sum(row["operators"]["CPUExecutionProvider"].values()) > 50


def test_the_doctor_spells_the_remedys_extra_out() -> None:
    """Square brackets are the terminal library's markup, too."""
    result = run("doctor", status=1, EMBEDDING_DEVICE="cuda")

    assert "vla-embeddings[gpu]" in result.stdout.replace("\n", "")


def test_verify_proves_what_is_there(models_dir: Path) -> None:
    rows = run_json("verify", "--model", "text", "--output", str(models_dir))

    assert {row["status"] for row in rows} == {"ok"}


def test_verify_fails_on_a_damaged_artefact(models_dir: Path, tmp_path: Path) -> None:
    source = models_dir / "all-MiniLM-L6-v2" / "fp32"
    copy = tmp_path / "all-MiniLM-L6-v2" / "fp32"
    copy.mkdir(parents=True)
    for file in source.iterdir():
        (copy / file.name).write_bytes(file.read_bytes()[:100_000])

    [row] = run_json("verify", "--output", str(tmp_path), status=1)

    assert row["status"] == "failed"
    assert "vla-embeddings export --model text --precision fp32" in row["error"]


def test_verify_says_what_is_wrong_with_each_artefact_and_checks_the_others(
    models_dir: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "[/models]"
    copytree(models_dir / "all-MiniLM-L6-v2" / "fp32", folder / "all-MiniLM-L6-v2" / "fp32")
    broken = folder / "all-MiniLM-L6-v2" / "fp16"
    broken.mkdir()
    (broken / "manifest.json").write_text("{")

    good, bad = run_json("verify", "--output", str(folder), status=1)
    shown = run("verify", "--output", str(folder), status=1)

    assert (good["precision"], good["status"]) == ("fp32", "ok")
    assert (bad["precision"], bad["status"]) == ("fp16", "failed")
    assert bad["error"] in shown.stdout
    assert f"{broken / 'manifest.json'} cannot be read" in bad["error"]


def test_verify_fails_where_nothing_was_exported(tmp_path: Path) -> None:
    result = run("verify", "--output", str(tmp_path), status=1)

    assert "vla-embeddings export" in result.stderr


def test_an_unknown_precision_is_an_error() -> None:
    assert "fp32, fp16" in run("export", "--precision", "fp8", status=1).stderr


def test_an_unusable_variable_is_one_line_not_a_traceback() -> None:
    result = run("doctor", status=1, EMBEDDING_CACHE_TTL="soon")

    assert "EMBEDDING_CACHE_TTL='soon'" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_doctor_looks_at_the_models_that_are_configured(models_dir: Path) -> None:
    environment = {
        "EMBEDDING_MODELS_DIR": str(models_dir),
        "EMBEDDING_TEXT_MODEL_NAME": "/nowhere",
    }

    result = run("doctor", status=1, **environment)

    assert "No text model '/nowhere'" in " ".join(result.stdout.split())


def test_the_doctor_finds_what_works(models_dir: Path, postgres_dsn: str, redis_url: str) -> None:
    run("db", "init", EMBEDDING_DATABASE_URL=postgres_dsn)

    findings = {
        finding["subject"]: finding
        for finding in run_json(
            "doctor",
            EMBEDDING_MODELS_DIR=str(models_dir),
            EMBEDDING_DATABASE_URL=postgres_dsn,
            EMBEDDING_REDIS_URL=redis_url,
        )
    }

    for subject in ("ONNX Runtime", "Device", "all-MiniLM-L6-v2 fp32", "Redis", "PostgreSQL"):
        assert findings[subject]["state"] == "ok"
    assert "UNTRAINED" in findings["clip-vit-base-patch32 fp32"]["detail"]
    assert "pgvector 0." in findings["PostgreSQL"]["detail"]


def test_the_doctor_survives_servers_that_are_down() -> None:
    findings = run_json(
        "doctor",
        status=1,
        EMBEDDING_DATABASE_URL="postgresql://robot:s3cret@127.0.0.1:1/vla",
        EMBEDDING_REDIS_URL="redis://:s3cret@127.0.0.1:1",
        EMBEDDING_DEVICE="cuda",
    )

    states = {finding["subject"]: finding["state"] for finding in findings}
    assert (states["Redis"], states["PostgreSQL"], states["Device"]) == (
        "note",
        "broken",
        "broken",
    )
    assert "s3cret" not in json.dumps(findings)


async def test_names_of_indexes_are_shown_as_they_are(db: Database, dsn: str) -> None:
    await db.pool.execute('CREATE TABLE "a[/b]" (e vector(3))')

    shown = run("index", "create", "a[/b]", "e", EMBEDDING_DATABASE_URL=dsn).stdout

    assert 'public."a[/b]".e' in shown


def test_a_database_that_is_down_is_named_without_its_password() -> None:
    result = run("db", "init", "--database-url", "postgresql://u:s3cret@127.0.0.1:1/x", status=1)

    assert "127.0.0.1" in result.stderr
    assert "s3cret" not in result.stderr
    assert "Traceback" not in result.stderr
