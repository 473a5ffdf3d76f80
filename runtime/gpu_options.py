"""Options of ONNX Runtime's GPU providers, and the shapes that they prepare for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vla_embeddings.models import Kind, Manifest
from vla_embeddings.runtime.pixels import SIDE

Options = Mapping[str, str]
Shape = tuple[int, ...]

# Token counts that single texts are padded to. Robot instructions have 14.5 tokens in the mean.
TEXT_BUCKETS = (16, 32, 64)
MAX_TEXTS, MAX_IMAGES = 32, 8

MASK = "attention_mask"
INPUTS: Mapping[Kind, tuple[str, ...]] = {
    "text": ("input_ids", MASK),
    "image": ("pixels",),
    "clip-text": ("input_ids",),
}
"""All inputs of each kind of graph; TensorRT refuses a profile that leaves one out."""
WORKSPACE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Profile:
    """The shapes of every input of a graph that TensorRT compiles it for."""

    smallest: Shape
    usual: Shape
    """The one that it is fastest at."""
    largest: Shape


def profile(manifest: Manifest) -> Profile:
    """One call's shapes: a single item is usual, and the largest bounds the GPU memory.

    Larger batches are cut: see `gpu_session.BoundedSession`.
    """
    if manifest.max_tokens is None:
        image = (SIDE, SIDE, 3)
        return Profile((1, *image), (1, *image), (MAX_IMAGES, *image))
    return Profile((1, 1), (1, TEXT_BUCKETS[0]), (MAX_TEXTS, manifest.max_tokens))


def captured_shapes(kind: Kind) -> tuple[Shape, ...]:
    """Shapes that recur in single calls, for which a CUDA graph is worth its memory."""
    if kind == "image":
        return ((1, SIDE, SIDE, 3),)
    return tuple((1, tokens) for tokens in TEXT_BUCKETS)


def cuda_options(*, memory_limit_mb: int | None, graphs: bool) -> Options:
    """For the CUDA provider.

    Args:
        memory_limit_mb: of one session's arena, weights included; None is no limit.
        graphs: whether runs may be captured as CUDA graphs.
    """
    options = {
        # Doubling, the default, takes up to twice what is used from those who share the GPU.
        "arena_extend_strategy": "kSameAsRequested",
        # The default times every convolution algorithm at each new shape.
        "cudnn_conv_algo_search": "HEURISTIC",
        # fp32 is to mean fp32; who wants speed has fp16.
        "use_tf32": "0",
    }
    if memory_limit_mb is not None:
        options["gpu_mem_limit"] = str(memory_limit_mb << 20)
    if graphs:
        options["enable_cuda_graph"] = "1"
    return options


def engine_options(manifest: Manifest, *, engine: Path, timings: Path, tensorrt: str) -> Options:
    """For the TensorRT provider that compiles a graph.

    Args:
        manifest: the graph's.
        engine: where the compiled form goes, one file with all in it.
        timings: folder of the kernel timings, which make the next build of any model faster.
        tensorrt: version of TensorRT.
    """
    return {
        **build_options(manifest, tensorrt=tensorrt),
        "trt_timing_cache_path": str(timings),
        "trt_ep_context_file_path": str(engine),
    }


def build_options(manifest: Manifest, *, tensorrt: str) -> Options:
    """Those of a build that its engine depends on: all but where things lie."""
    shapes = profile(manifest)

    def of_all(shape: Shape) -> str:
        return ",".join(f"{name}:{'x'.join(map(str, shape))}" for name in INPUTS[manifest.kind])

    return {
        "trt_profile_min_shapes": of_all(shapes.smallest),
        "trt_profile_opt_shapes": of_all(shapes.usual),
        "trt_profile_max_shapes": of_all(shapes.largest),
        # From TensorRT 11 on, the graph's own types decide; before, a switch allows fp16 at all.
        "trt_fp16_enable": "1" if int(tensorrt.partition(".")[0]) <= 10 else "0",
        "trt_layer_norm_fp32_fallback": "1",
        # Nobody waits for this build: let it compare more kernels than level 3, the default.
        "trt_builder_optimization_level": "5",
        "trt_max_workspace_size": str(WORKSPACE_BYTES),
        "trt_auxiliary_streams": "0",  # they cost memory
        "trt_timing_cache_enable": "1",
        "trt_dump_ep_context_model": "1",
        "trt_ep_context_embed_mode": "1",
    }
