"""A peer at work: `python -m benchmarks.peers.worker KIND NAME FOLDER INPUTS THREADS`.

Speaks JSON, one object a line. It embeds its first input and says `{"version": ...}`; then it
answers

    {"parts": [[start, stop], ...]}       with  {"seconds": [...]}, one for each part
    {"save": [start, stop], "to": FILE}   with  {"saved": FILE}, the part's vectors as .npy

and any failure with `{"error": ...}`. It ends with its standard input.
"""

import json
import os
import pickle
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.adapters import ADAPTERS, Embed


def main() -> None:
    """Answer until standard input ends."""
    kind, name, folder, inputs_file, threads = sys.argv[1:]
    # Libraries print what they like: the answers have the real standard output for themselves.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(content: dict[str, Any]) -> None:
        print(json.dumps(content), file=answers)

    try:
        embed = ADAPTERS[kind, name](Path(folder), int(threads))
        inputs = pickle.loads(Path(inputs_file).read_bytes())  # written by our own parent
        embed(inputs[:1])
        answer({"version": version(name)})
        for line in sys.stdin:
            answer(_respond(json.loads(line), embed, inputs))
    except Exception as error:  # whatever a peer raises, the parent must hear of it
        answer({"error": f"{type(error).__name__}: {error}"})
        sys.exit(1)


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
