"""What search costs and finds, beside asyncpg, PostgreSQL's defaults and other libraries.

    .venv/bin/python -m benchmarks.search [--quick] [--database-url URL] [--without-peers]
                                          [--json FILE]

All contenders of a table take turns (A B A B ...) on the same server: an embedded PostgreSQL, or
the one at --database-url. The vectors are MiniLM's of 50,000 instructions, real ones where they
are at hand; they are made once, in minutes, and kept in .artifacts/bench-search. The other
libraries run in a process and a virtual environment of their own, .artifacts/bench-peers-search.
"""

import argparse
import asyncio
import contextlib
import gzip
import json
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import batched
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
from numpy.typing import NDArray
from pgvector.asyncpg import register_vector
from rich.progress import Progress
