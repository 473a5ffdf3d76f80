"""How fast the library is, beside its peers, the machine's limits and its own targets."""
