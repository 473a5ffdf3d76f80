"""Other libraries with the same weights and inputs, each in a process of its own."""
