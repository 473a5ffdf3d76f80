"""A store at work: `python -m benchmarks.peers.store_worker NAME URL FOLDER`.

Speaks JSON, one object a line: `{"version": ..., "on": {PACKAGE: VERSION}}`, the
packages that do its work, once it is up; then it answers

    {"step": NAME, "query": NUMBER}   with  {"seconds": ..., "found": [...] of a search}

and any failure with `{"error": ...}`. It ends with its standard input.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers.answers import answers_alone
from benchmarks.peers.stores import STORES, StoreInputs


def main() -> None:
    """Answer until standard input ends."""
    name, url, folder = sys.argv[1:]
    with answers_alone() as answer:
        adapter = STORES[name]
        steps = adapter.start(url, StoreInputs.read(Path(folder)))
        answer({"version": version(name), "on": {each: version(each) for each in adapter.on}})
        for line in sys.stdin:
            request = json.loads(line)
            start = time.perf_counter()
            found = steps[request["step"]](request["query"])
            seconds = time.perf_counter() - start
            answer({"seconds": seconds, "found": found if request["step"] == "search" else None})


if __name__ == "__main__":
    main()
