"""What the machine itself can do, measured in turns with what is held against it."""
