"""What the machine can do, and our figures as shares of it."""

import socket

import numpy as np
import pytest

from benchmarks.bench import Bench
from benchmarks.contest import Standing
from benchmarks.curves import curves
from benchmarks.harness import Timings
from benchmarks.latency import LENGTHS, texts_of_tokens
from benchmarks.limits.bandwidth import BandwidthLimit, Reading, bandwidth_limits
from benchmarks.limits.gemm import gemm_limits
from benchmarks.limits.loopback import loopback
from benchmarks.search.suite import over_unix
from benchmarks.shares import Share, nearest_limit
from vla_embeddings.models import Precision
from vla_embeddings.runtime.tokens import Tokenizer


def limit(name: str, precision: Precision, *seconds: float) -> Standing:
    timings = Timings(name, tuple((each,) for each in seconds))
    return Standing(timings, None, None, bounds=[precision])


PARTS = [slice(0, 1), slice(0, 2)]


def standing(name: str, seconds: float, precision: Precision | None = None) -> Standing:
    return Standing(Timings(name, ((seconds,),) * 3), precision, None)


@pytest.mark.usefixtures("bench")  # which makes the products small
def test_twice_the_operations_take_twice_the_time_at_the_peak_of_fp32_and_int8() -> None:
    limits = gemm_limits(lambda part: 1e6 * (part.stop - part.start), on_gpu=False)
    assert [limit.precisions for limit in limits] == [["fp32"], ["int8"]]
    for limit in limits:
        one, two = limit.seconds(PARTS)
        assert two == pytest.approx(2 * one)


@pytest.mark.usefixtures("bench")
def test_every_call_reads_all_weights() -> None:
    one, two = BandwidthLimit(10**6, "fp32", Reading()).seconds(PARTS)
    assert one == two > 0


def test_memory_is_read_once_a_turn_for_all_precisions_in_whatever_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readings = iter([3.0, 2.0, 1.0] * 2)
    monkeypatch.setattr("benchmarks.limits.bandwidth._seconds_to_read", lambda: next(readings))
    monkeypatch.setattr("benchmarks.limits.bandwidth.ARRAY_BYTES", 100)
    reading = Reading()
    fp32, int8 = BandwidthLimit(100, "fp32", reading), BandwidthLimit(25, "int8", reading)
    told = [limit.seconds(PARTS[:1]) for limit in (fp32, int8, int8, fp32)]
    assert told == [[1.0], [0.25], [0.25], [1.0]]
    assert next(readings, None) is None


def test_weights_in_8_bits_are_read_in_a_quarter_of_the_time(bench: Bench) -> None:
    [fp32, *others] = bandwidth_limits(bench.artifacts("text"))
    assert fp32.precisions == ["fp32"]
    assert fp32.bytes_read == pytest.approx(6 * 12 * 384**2 * 4, rel=0.01)
    for int8 in others:
        assert int8.bytes_read == pytest.approx(fp32.bytes_read / 4, rel=0.1)


@pytest.mark.parametrize("unix", [True, False])
def test_the_loopback_serves_requests_of_any_size_until_it_is_closed(unix: bool) -> None:
    with loopback(unix=unix) as echo:
        assert all(echo.seconds(sent, 10**6) > 0 for sent in (0, 1, 10**6))
        connection = echo._connection
        if not unix:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    with pytest.raises(OSError, match="descriptor"):
        echo.seconds(1, 1)


def test_a_server_is_reached_as_its_address_says() -> None:
    assert over_unix("postgresql://postgres@/postgres?host=/tmp/folder&port=5432")
    assert over_unix("postgresql:///robots")
    assert not over_unix("postgresql://localhost/robots")
    assert not over_unix("postgresql:///robots?host=localhost")


def test_a_figure_is_a_share_of_the_limit_that_leaves_it_the_least_room() -> None:
    ours = standing("ours fp32", 4.0, "fp32")
    standings = [
        ours,
        limit("sgemm peak", "fp32", 1.0),
        limit("int8 GEMM peak", "int8", 3.0),
        limit("memory bandwidth, fp32", "fp32", 2.0),
    ]
    assert nearest_limit(ours, standings) == Share("memory bandwidth, fp32", 0.5)
    assert nearest_limit(standing("openvino 1.0", 4.0), standings) is None


def test_a_limit_is_the_best_that_the_machine_did() -> None:
    ours, moody = standing("ours fp32", 4.0, "fp32"), limit("sgemm peak", "fp32", 3.0, 1.0, 5.0)
    assert nearest_limit(ours, [ours, moody]) == Share("sgemm peak", 0.25)


def test_a_peer_is_known_by_its_name_whatever_its_version() -> None:
    assert standing("fastembed 0.9.1", 1).is_called("fastembed")
    assert not standing("fastembed (our graph) 0.9.1", 1).is_called("fastembed")
    assert standing("fastembed (our graph) 0.9.1", 1).is_called("fastembed (our graph)")
    assert standing("sgemm peak", 1).is_called("sgemm peak")


def test_a_curve_shows_the_median_of_warm_calls_between_their_quartiles() -> None:
    cold, warm = 1.0, (0.001, 0.002, 0.003, 0.004)
    turn = (cold, *warm, cold, *(2 * each for each in warm))
    timings = Timings("ours fp32", (turn, turn))
    parts = {1.0: slice(0, 1), 8.0: slice(0, 8)}
    [line] = curves("latency-batch", "instructions", parts, [Standing(timings, "fp32", (1.0, 16))])
    assert np.array(line.points) == pytest.approx(np.array([(1.0, 2.5), (8.0, 40.0)]))
    assert line.low == pytest.approx([1.75, 28.0])
    assert line.high == pytest.approx([3.25, 52.0])


def test_the_texts_of_the_curve_have_the_tokens_they_stand_for(bench: Bench) -> None:
    tokens = Tokenizer(bench.fp32("text")).encode(texts_of_tokens(bench))
    assert tuple(map(len, tokens)) == LENGTHS
