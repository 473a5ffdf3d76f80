"""The whole path once, on real servers: export, embed, cache, index, search."""
