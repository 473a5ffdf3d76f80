"""A worker process of the peers' environment, which is asked and then waited for."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import REPOSITORY
from benchmarks.peers.environment import PeerFailed


@dataclass(frozen=True, slots=True)
class Worker:
    """Speaks JSON, one object a line; the modules it runs tell what is said."""

    _process: subprocess.Popen[str]
    _log: Path

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Its answer.

        Raises:
            PeerFailed: as `heard`.
        """
        assert self._process.stdin is not None  # a pipe
        with contextlib.suppress(BrokenPipeError):  # it has ended; `heard` says how
            print(json.dumps(question), file=self._process.stdin, flush=True)
        return self.heard()

    def heard(self) -> dict[str, Any]:
        """The next thing it says.

        Raises:
            PeerFailed: it said that it failed, or ended.
        """
        assert self._process.stdout is not None  # a pipe
        line = self._process.stdout.readline()
        if not line:
            said = self._log.read_text().strip().splitlines() or ["without a word"]
            raise PeerFailed(f"its process ended, status {self._process.wait()}: {said[-1]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerFailed(answer["error"])
        return answer


@contextmanager
def start_worker(python: Path, module: str, arguments: list[str], log: Path) -> Iterator[Worker]:
    """Start `python -m module`, and end it after use; its first words are yet to be heard."""
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [str(python), "-m", module, *arguments],
            cwd=REPOSITORY,
            # All files are at hand; without this, some would look for newer ones first.
            env=os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            yield Worker(process, log)
        finally:
            process.kill()
            assert process.stdin is not None  # a pipe
            with contextlib.suppress(BrokenPipeError):  # of a question that was never read
                process.stdin.close()
