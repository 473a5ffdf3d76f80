"""Inputs are real where they are at hand, and else made."""

from pathlib import Path

from benchmarks.inputs import load_inputs, load_instructions
from benchmarks.size import TINY


def test_a_folder_of_other_data_is_not_taken_for_the_real_inputs(tmp_path: Path) -> None:
    """As a project beside the clone may have it."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "cat.txt").write_text("another project's")
    inputs = load_inputs(TINY, data=tmp_path)
    assert inputs.origin == "generated instructions and drawn scenes"
    assert inputs.pairs == []
    texts, origin = load_instructions(100, data=tmp_path)
    assert (len({*texts}), origin) == (100, "generated")


def test_the_real_inputs_are_taken(shared_data: Path) -> None:
    inputs = load_inputs(TINY, data=shared_data)
    assert inputs.origin == "real robot instructions and camera images"
    assert len(inputs.pairs) == TINY.pairs
    assert load_instructions(100, data=shared_data)[1] == "real"
