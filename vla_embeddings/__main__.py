"""`python -m vla_embeddings`: the command line where its script is not on the path."""

from vla_embeddings.cli import main

if __name__ == "__main__":
    main()
