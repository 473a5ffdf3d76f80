"""What a process may do that forks: in a process of its own, which has no other threads."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import asyncio, multiprocessing, os, signal, sys
from pathlib import Path
from vla_embeddings import EmbeddingConfig, EmbeddingService
from vla_embeddings.errors import ServiceClosed

config = EmbeddingConfig(models_dir=Path(sys.argv[1]), device="cpu")
service = EmbeddingService(config=config)

def embed(service):
    asyncio.run(service.get_instruction_embedding("pick up the red block"))

def before_the_first_call():
    embed(service)

def with_another_service():
    embed(EmbeddingService(config=config))

def with_the_parents_service():
    service.cleanup()
    try:
        embed(service)
    except ServiceClosed as error:
        assert "make the EmbeddingService after the fork" in str(error)
        sys.exit(7)

def status_of_a_plain_fork(act):
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends a child that waits for threads that it does not have
        act()
        sys.exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def status_of_multiprocessing(act):
    child = multiprocessing.get_context("fork").Process(target=act)
    child.start()
    child.join(60)
    if child.exitcode is None:
        child.kill()
    return child.exitcode

print(status_of_a_plain_fork(before_the_first_call), flush=True)
embed(service)
print(status_of_multiprocessing(with_another_service), flush=True)
print(status_of_multiprocessing(with_the_parents_service), flush=True)
service.cleanup()
"""


def test_children_end_that_fork_before_the_first_call_or_as_multiprocessing_does(
    models_dir: Path,
) -> None:
    """With a `sys.exit` of 7; after the first call, they have a service of their own."""
    command = [sys.executable, "-c", PROGRAM, str(models_dir)]

    printed = subprocess.check_output(command, text=True, timeout=200)

    assert printed.split() == ["7", "0", "7"]
