"""A peer at work: `python -m benchmarks.peers.worker KIND NAME FOLDER INPUTS DEVICE THREADS`.

Speaks JSON, one object a line. It embeds its first input and says `{"version": ..., "on":
{PACKAGE: VERSION}}`, the packages that do its work; then it answers

    {"parts": [[start, stop], ...]}       with  {"seconds": [...]}, one for each part
    {"save": [start, stop], "to": FILE}   with  {"saved": FILE}, the part's vectors as .npy

and any failure with `{"error": ...}`. It ends with its standard input.
"""

import json
import pickle
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.adapter import Adapter, Embed, Place
from benchmarks.peers.answers import answers_alone
from benchmarks.peers.backends import load_cuda, require_cuda
from benchmarks.peers.encoders import ENCODERS


def main() -> None:
    """Answer until standard input ends."""
    kind, name, folder, inputs_file, device, threads = sys.argv[1:]
    place = Place("cuda" if device == "cuda" else "cpu", int(threads))
    with answers_alone() as answer:
        adapter = ENCODERS[kind, name]
        embed = _load(adapter, Path(folder), place)
        inputs = pickle.loads(Path(inputs_file).read_bytes())  # written by our own parent
        embed(inputs[:1])
        answer({"version": version(adapter.package), "on": dict(_versions(adapter))})
        for line in sys.stdin:
            answer(_respond(json.loads(line), embed, inputs))


def _versions(adapter: Adapter) -> Iterator[tuple[str, str]]:
    """As they call themselves, such as 2.13.0+cpu."""
    for package in adapter.on:
        yield package, import_module(package).__version__


def _load(adapter: Adapter, folder: Path, place: Place) -> Embed:
    if place.device == "cpu":
        return adapter.load(folder, place)
    load_cuda()
    embed = adapter.load(folder, place)
    require_cuda()
    return embed


def _respond(request: dict[str, Any], embed: Embed, inputs: list[Any]) -> dict[str, Any]:
    if "save" in request:
        np.save(request["to"], embed(inputs[slice(*request["save"])]))
        return {"saved": request["to"]}
    return {"seconds": [_seconds(embed, inputs[slice(*part)]) for part in request["parts"]]}


def _seconds(embed: Embed, inputs: list[Any]) -> float:
    start = time.perf_counter()
    embed(inputs)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
