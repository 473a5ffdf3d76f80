"""Robot instructions from a small grammar, so that the demo needs no data of its own."""

import random

from vla_embeddings.errors import InvalidInput

MAX_COUNT = 50_000
"""Far below the number of possible sentences, so that drawing distinct ones stays quick."""

_COLOURS = ("red", "blue", "green", "yellow", "orange", "purple", "white", "black", "grey", "pink")
_WORDS = {
    "thing": (
        *("block", "cube", "cup", "mug", "bottle", "sponge", "spoon", "marker", "screwdriver"),
        *("toy car", "towel", "ball", "cylinder", "lid", "can", "battery", "notebook"),
    ),
    "food": ("apple", "banana", "carrot", "lemon", "soup can", "cereal box", "eggplant", "bread"),
    "container": ("bowl", "basket", "box", "bin", "tray", "crate", "saucepan"),
    "surface": ("table", "shelf", "counter", "cutting board", "plate", "workbench", "mat"),
    "door": ("drawer", "cabinet", "microwave", "fridge", "oven", "toolbox", "dishwasher"),
    "device": ("lamp", "stove", "fan", "conveyor belt", "coffee machine", "tap"),
    "side": ("left", "right", "front", "back"),
    "relation": ("to the left of", "to the right of", "behind", "in front of", "next to"),
    "amount": ("a little", "two centimetres", "five centimetres", "halfway", "ten centimetres"),
    "direction": ("left", "right", "forward", "backward", "up", "down"),
}
_COMMANDS = (
    "pick up the {colour} {thing}",
    "grasp the {colour} {thing}",
    "lift the {colour} {thing} off the {surface}",
    "hand me the {colour} {thing}",
    "find the {colour} {thing} on the {surface}",
    "open the {door}",
    "close the {door}",
    "open the {side} cabinet door",
    "turn on the {device}",
    "turn off the {device}",
    "wipe the {surface}",
    "wipe the {surface} with the {colour} towel",
    "push the {colour} {thing} {amount} to the {side}",
    "move the arm {amount} {direction}",
    "turn the {colour} {thing} upside down",
    "stack the {colour} block on top of the {other_colour} block",
    "put the {colour} {thing} in the {container}",
    "put the {food} in the {other_colour} {container}",
    "place the {colour} {thing} on the {surface}",
    "place the {food} on the {side} side of the {surface}",
    "place the {colour} {thing} {relation} the {other_colour} {container}",
    "move the {colour} {thing} {relation} the {food}",
    "take the {food} out of the {door}",
    "take the {colour} {thing} out of the {container} and put it on the {surface}",
    "open the {door}, put the {food} inside and close it again",
    "pick up the {colour} {thing} and the {food} and drop both into the {container}",
    "sort the {colour} and {other_colour} blocks into separate containers",
)
_MANNERS = ("slowly", "carefully", "gently", "quickly", "now", "please")
_ENDINGS = (
    "without touching anything else",
    "and return home",
    "using the left arm",
    "using the right arm",
    "and wait there",
    "before time runs out",
)


def make_instructions(count: int, *, seed: int = 0) -> list[str]:
    """Draw distinct robot instructions of 3 to 20 English words; a seed always gives the same.

    Raises:
        InvalidInput: `count` is negative or more than `MAX_COUNT`.
    """
    if not 0 <= count <= MAX_COUNT:
        raise InvalidInput(f"Expected a count from 0 to {MAX_COUNT}; got {count}.")
    generator = random.Random(seed)
    drawn: dict[str, None] = {}  # an ordered set
    while len(drawn) < count:
        drawn[_sentence(generator)] = None
    return list(drawn)


def _sentence(generator: random.Random) -> str:
    words = {slot: generator.choice(choices) for slot, choices in _WORDS.items()}
    words["colour"], words["other_colour"] = generator.sample(_COLOURS, 2)
    sentence = generator.choice(_COMMANDS).format_map(words)
    adverbial = generator.random()
    if adverbial < 0.25:
        return f"{generator.choice(_MANNERS)} {sentence}"
    if adverbial < 0.5:
        return f"{sentence} {generator.choice(_ENDINGS)}"
    return sentence
