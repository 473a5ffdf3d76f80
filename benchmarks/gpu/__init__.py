"""Figures of a GPU machine that has no network: README.md tells how."""
