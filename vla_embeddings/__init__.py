"""Embeddings for robot VLA platforms."""
