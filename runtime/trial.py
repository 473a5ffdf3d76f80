"""Whether a GPU's provider comes up at all."""

from typing import Any

from vla_embeddings.runtime.gpu_session import ONE_AT_A_TIME, create
from vla_embeddings.runtime.libraries import load_libraries
from vla_embeddings.runtime.placement import RECORD_PLACEMENT
from vla_embeddings.runtime.providers import ProviderChoice

# In ONNX's own form: y = Relu(x), both (1,) float32.
_RELU = (
    b'\x08\x08\x12\x00:3\n\x0c\n\x01x\x12\x01y"\x04Relu\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01'
    b"\x12\x04\n\x02\x08\x01b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x11"
)


def require_provider(ort: Any, choice: ProviderChoice) -> None:
    """Let the first provider load a graph of one operator, and with it all of its libraries.

    That takes seconds, and GPU memory until the process ends.

    Args:
        ort: the onnxruntime module.
        choice: of a GPU.

    Raises:
        ProviderUnavailable: it did not come up; the message names the reason and the cure.
    """
    load_libraries(ort)
    options = ort.SessionOptions()
    options.add_session_config_entry(RECORD_PLACEMENT, "1")
    options.log_severity_level = 4  # fatal ones; the error says the rest
    with ONE_AT_A_TIME:
        create(ort, _RELU, options, choice, first_options={})
