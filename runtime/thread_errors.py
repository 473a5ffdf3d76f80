"""What befalls a thread, as errors that its caller can catch."""

from collections.abc import Iterator
from contextlib import contextmanager

from vla_embeddings.errors import InferenceError


def no_thread(error: RuntimeError) -> InferenceError:
    """For where the system refused to start one."""
    return InferenceError(
        f"No thread can be had ({error}). Ask again later, or raise the limit of threads (ulimit "
        "-u, the container's pids)."
    )


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Raise InferenceError for what is no `Exception`, as a panic of the tokenizer's Rust code.

    Uncaught, it would end the thread, and whoever waits for it would wait for ever.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        raise InferenceError(
            f"Native code failed ({type(error).__name__}: {error}). Other calls go on; leave out "
            "the input that does this, and report it."
        ) from error
