"""A manifest is read back as it was written, or refused."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.models.artifacts import MANIFEST_OF_NOTHING
from vla_embeddings.models import FileRecord, Manifest

FILES = {"model.onnx": FileRecord(bytes=3, sha256="ab")}


def _fields() -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(MANIFEST_OF_NOTHING.to_json())
    return fields | {"files": {"model.onnx": {"bytes": 3, "sha256": "ab"}}}


def test_it_comes_back_as_it_was_written() -> None:
    assert Manifest.from_json(MANIFEST_OF_NOTHING.to_json()) == MANIFEST_OF_NOTHING


def test_its_files_and_parity_are_records() -> None:
    manifest = Manifest.from_json(json.dumps(_fields()))

    assert manifest.files == FILES
    assert manifest.parity == MANIFEST_OF_NOTHING.parity


@pytest.mark.parametrize("text", ["", "{", "nonsense", "[]", "null", "7", '"text"', "{}"])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|object|required"):
        Manifest.from_json(text)


@pytest.mark.parametrize("name", sorted(_fields().keys() - {"format", "quantization"}))
def test_a_missing_field_is_named(name: str) -> None:
    fields = _fields()
    del fields[name]

    with pytest.raises(ValueError, match=f"{name}: .*required"):
        Manifest.from_json(json.dumps(fields))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", 2),
        ("kind", "audio"),
        ("precision", "fp8"),
        ("weights", "half-trained"),
        ("dimension", "384"),
        ("max_tokens", 25.6),
        ("opset", None),
        ("pinned", "yes"),
        ("fused_ops", ["Attention"]),
        ("parity", 1.0),
        ("parity", {"samples": 3}),
        ("files", ["model.onnx"]),
        ("files", {"model.onnx": {"bytes": 3}}),
        ("files", {"model.onnx": {"bytes": "3", "sha256": "ab"}}),
        ("tools", {"torch": 2}),
    ],
)
def test_a_value_of_another_type_is_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^{name}[:.]"):
        Manifest.from_json(json.dumps(_fields() | {name: value}))


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(ValueError, match="colour: Unexpected"):
        Manifest.from_json(json.dumps(_fields() | {"colour": "red"}))


def test_in_int8_the_fingerprint_changes_with_the_graph() -> None:
    """Another recipe gives other vectors; of other precisions, all graphs compute the same."""
    graphs = [
        replace(MANIFEST_OF_NOTHING, files={"model.onnx": FileRecord(bytes=3, sha256=digest * 64)})
        for digest in "ab"
    ]

    assert len({graph.fingerprint for graph in graphs}) == 1
    assert len({replace(graph, precision="int8").fingerprint for graph in graphs}) == 2


@pytest.mark.parametrize("name", ["model", "precision", "source_sha256"])
def test_the_fingerprint_changes_with_what_the_vectors_depend_on(name: str) -> None:
    others = {"model": "another", "precision": "fp16", "source_sha256": "fedcba9876543210"}
    other = Manifest.from_json(json.dumps(_fields() | {name: others[name]}))

    assert other.fingerprint != MANIFEST_OF_NOTHING.fingerprint
