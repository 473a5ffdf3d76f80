"""Running the code blocks of Markdown files."""

import ast
import inspect
import re
from typing import Any


def code_blocks(markdown: str, language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", markdown, re.DOTALL)


async def run_block(block: str, names: dict[str, Any]) -> None:
    """Run a block in which `await` is allowed, and keep the names it binds."""
    code = compile(block, "markdown", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    pending = eval(code, names)
    if inspect.isawaitable(pending):
        await pending
