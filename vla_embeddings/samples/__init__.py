"""Robot instructions and table-top scenes that the library makes itself.

For the demo, the parity proof of every export, tests and benchmarks.
"""

from vla_embeddings.samples.instructions import make_instructions
from vla_embeddings.samples.scenes import Scene, make_scenes

__all__ = ["Scene", "make_instructions", "make_scenes"]
