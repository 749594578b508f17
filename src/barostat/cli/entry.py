"""Where `barostat` begins: what a shell asks while somebody types is answered at once.

Loading what the commands stand on takes longer than a person waits for a key.
"""

from __future__ import annotations

import os
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Answer a shell that completes, or run the command line."""
    asked = os.environ.get("_BAROSTAT_COMPLETE", "")
    if asked.endswith("_complete"):
        from barostat.cli.completing import main as answer  # noqa: PLC0415 - without the rest

        answer(asked.removesuffix("_complete"))
    from barostat.cli.main import main as run  # noqa: PLC0415 - slow to load

    run()
