"""The demo embeds the user's own inputs."""

from pathlib import Path

from vla_embeddings.demo.inputs import read_instructions, read_pictures
from vla_embeddings.runtime import preprocess


def test_real_instructions_and_images_are_read(shared_data: Path) -> None:
    instructions = read_instructions(shared_data / "instructions.jsonl.gz", 100)
    pictures = read_pictures(shared_data / "images" / "robot", 5)

    assert len({instruction.text for instruction in instructions}) == 100
    assert [preprocess(picture.image).shape for picture in pictures] == [(224, 224, 3)] * 5
