"""Embed a few instructions and find the nearest to a new one, without a database.

vla-embeddings export --model text
python examples/embed_and_search.py "grab the cube"
"""

import asyncio
import sys

from vla_embeddings import EmbeddingService

KNOWN = ["pick up the red block", "open the drawer", "wipe the table", "pour water into the cup"]


async def main(query: str) -> None:
    """Print the known instructions, the most similar first."""
    async with EmbeddingService() as service:
        known = await service.batch_generate_embeddings(texts=KNOWN)
        similarities = known["text_embeddings"] @ await service.get_instruction_embedding(query)
    for index in similarities.argsort()[::-1]:
        print(f"{similarities[index]:.3f}  {KNOWN[index]}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "grab the cube"))
