"""The folders that what is carried lies in. Needs Python alone."""

WHEELS = "wheels"
MODELS = "models"
"""Of the form of `EMBEDDING_MODELS_DIR`."""
DATA = "data"
"""Of the form of `BENCHMARK_DATA_DIR`."""
