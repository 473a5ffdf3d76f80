"""A child process that ends with its parent, however the parent ends."""

import os
import pwd
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vla_embeddings.errors import LocalServerError

# The shell starts the server, then waits for end-of-file on its standard input. Only this Python
# process holds the other end of that pipe, so the server gets its stop signal when the process
# closes it, exits, or is killed; PR_SET_PDEATHSIG would be tied to one thread instead.
_GUARD = (
    'signal=$1; shift; exec 3<&0 0</dev/null; "$@" 3<&- & server=$!; '
    '(read -r _ <&3; kill -"$signal" $server) & watch=$!; exec 3<&-; '
    "wait $server; status=$?; kill $watch 2>/dev/null; exit $status"
)
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class Account:
    """The user and group that a server runs as."""

    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """The account to run PostgreSQL as: None (our own) unless we are root, which it refuses."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise LocalServerError(
        "PostgreSQL refuses to run as root, and this system has neither a 'postgres' nor a "
        "'nobody' user to run it as. Run as an ordinary user instead."
    )


def run(command: Sequence[str | Path], *, account: Account | None) -> str:
    """Run a short command to its end and return what it printed.

    Raises:
        LocalServerError: it failed; the message holds its last lines.
    """
    result = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=_ENVIRONMENT,
        cwd="/",
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        check=False,
    )
    if result.returncode != 0:
        raise LocalServerError(
            f"{Path(command[0]).name} failed with exit status {result.returncode}: "
            f"{result.stdout.strip()[-1000:]}"
        )
    return result.stdout


class GuardedProcess:
    """One server process: start, wait until ready, stop."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        stop_signal: str,
        account: Account | None = None,
    ) -> None:
        self._log = log
        self._name = Path(command[0]).name
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "guard", stop_signal, *map(str, command)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Return once `ready()` is true.

        Raises:
            LocalServerError: the process ended, or the time ran out; the process is stopped.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            ended = self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.stop()
                reason = "ended while starting" if ended else f"was not ready after {seconds:g} s"
                raise LocalServerError(f"{self._name} {reason}. {self._log_tail()}")
            time.sleep(0.01)

    def stop(self, *, seconds: float = 30.0) -> None:
        """Stop the server and wait for its end; safe to call twice."""
        assert self._process.stdin is not None  # it was started with a pipe
        self._process.stdin.close()
        self._process.wait(seconds)

    def _log_tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-8:]
        return f"The end of {self._log}:\n" + "\n".join(lines)
