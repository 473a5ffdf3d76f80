"""A run of suites: what they need is made ready, then each is measured and kept."""

import os
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.progress import Progress

from benchmarks.bench import Bench
from benchmarks.harness import Advance
from benchmarks.inputs import load_inputs
from benchmarks.machine import describe_machine
from benchmarks.models import prepare, take
from benchmarks.others import watch_others
from benchmarks.peers.environment import make_environment, this_environment
from benchmarks.results import RESULTS, Absence, Findings, Result, name_of_suite
from benchmarks.size import QUICK, Size
from benchmarks.suites import SUITES
from vla_embeddings.cli.output import progress_bars
from vla_embeddings.config import Device, EmbeddingConfig, embedding_config
from vla_embeddings.errors import ConfigurationError, EmbeddingError
from vla_embeddings.runtime import choose_providers
from vla_embeddings.runtime.gpu import find_gpu

OF_A_RUN = {"models_dir", "device", "precision", "redis_url", "database_url"}
"""Settings that suites set themselves, or that say where models are."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run is to measure, and with what."""

    suites: Sequence[str]
    size: Size
    device: Device
    peers_here: bool
    """Whether peers are taken from this Python, and none is installed."""
    models_here: bool
    """Whether models are taken as they were exported, and none is."""
    redis_url: str | None
    database_url: str | None

    @property
    def kept(self) -> bool:
        """Whether the figures are; a quick run's mean too little."""
        return self.size is not QUICK


def measure(wanted: Wanted) -> list[Result]:
    """Run the suites, one after the other.

    Raises:
        EmbeddingError: the device cannot be had, a model cannot be exported, or settings differ
            from the library's defaults.
    """
    _require_defaults(embedding_config)
    choose_providers(wanted.device)  # fails before anything else takes its time
    load = os.getloadavg()[0]  # of others; later it is that of the suite before
    results = []
    with progress_bars() as progress:
        bench = _prepare(wanted, progress)
        for suite in wanted.suites:
            results.append(_run(suite, bench, load))
            if wanted.kept:
                results[-1].save(RESULTS)
    return results


def _require_defaults(config: EmbeddingConfig) -> None:
    """Or ours would have fewer threads than the peers, or another model, and no page said so."""
    changed = [
        f"EMBEDDING_{name.upper()}"
        for name, field in EmbeddingConfig.model_fields.items()
        if name not in OF_A_RUN and getattr(config, name) != field.default
    ]
    if changed:
        raise ConfigurationError(
            f"Expected the library's default settings, which the figures are of; got others: "
            f"{', '.join(changed)}. Run without them: env -u {' -u '.join(changed)} make bench"
        )


def _prepare(wanted: Wanted, progress: Progress) -> Bench:
    """Inputs, models and peers, made where they are missing."""
    task = progress.add_task("", total=None)

    def show(step: str) -> None:
        progress.update(task, description=step)

    def track(what: str, length: int) -> Advance:
        bar = progress.add_task(what, total=length)
        return lambda steps: progress.advance(bar, steps)

    show("inputs")
    inputs = load_inputs(wanted.size)
    ready = take if wanted.models_here else prepare
    ready(embedding_config, wanted.device, show)
    show("installing the peers")
    here = this_environment() if wanted.peers_here else None
    peers, stores = here or make_environment("encoders"), here or make_environment("stores")
    progress.remove_task(task)
    return Bench(
        wanted.size,
        inputs,
        embedding_config,
        peers,
        track,
        device=wanted.device,
        stores=stores,
        redis_url=wanted.redis_url,
        database_url=wanted.database_url,
    )


def _run(suite: str, bench: Bench, load: float) -> Result:
    machine = describe_machine(load=load, gpu=find_gpu() if bench.on_gpu else None)
    began, others = time.perf_counter(), watch_others()
    try:
        findings = SUITES[suite](bench)
    except EmbeddingError as error:  # such as a server that this machine cannot run
        findings = Findings([], [], [Absence(suite, str(error))])
    except Exception as error:  # such as a server that dies: minutes of other suites must not go
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"
        findings = Findings([], [], [Absence(suite, reason)])
    return Result(
        suite=name_of_suite(suite, bench.size.name, on_gpu=bench.on_gpu),
        size=bench.size.name,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - began, 1),
        inputs=findings.inputs or bench.inputs.origin,
        weights={
            artifact.manifest.model: artifact.manifest.weights
            for artifact in (bench.fp32("text"), bench.fp32("image"))
        },
        machine=machine,
        findings=findings,
        others=others(),
    )
