"""One function at a time, with pytest-benchmark: the Python around the graphs."""
