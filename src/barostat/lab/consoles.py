"""Consoles of guests that died: kept where they outlive the run, the newest few of them.

A guest that dies leaves one thing behind that says why. It is copied before the run's folder goes.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path
from typing import Final

from barostat.errors import GuestDiedError
from barostat.lab.guests import GuestFiles
from barostat.lab.kernel import cache_folder

__all__ = ["died"]

KEPT: Final = 20
LONGEST_BYTES: Final = 2**20
"""Of each log the end is kept: that is where the reason is."""
SHOWN_LINES: Final = 5


def died(files: GuestFiles, *, how: str, folder: Path | None = None) -> GuestDiedError:
    """Keep a dead guest's console and make the error that names it.

    Args:
        files: the guest's.
        how: how its QEMU ended, in words.
        folder: where consoles are kept; None is `consoles` in the lab's cache.
    """
    kept_in = cache_folder() / "consoles" if folder is None else folder
    said, printed = _end_of(files.console), _end_of(files.log)
    kept = _keep(kept_in, files.name, f"{said}\n--- QEMU itself ---\n{printed}\n")
    shown = [line for line in f"{said}\n{printed}".splitlines() if line.strip()][-SHOWN_LINES:]
    last = "\n".join(f"  {line[:200]}" for line in shown) or "  (nothing)"
    return GuestDiedError(
        f'guest "{files.name}" ended by itself ({how}); the last it said:\n{last}',
        console=str(kept),
        hint=f"its whole console is in {kept}",
    )


def _end_of(path: Path) -> str:
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - LONGEST_BYTES))
            return log.read(LONGEST_BYTES).decode(errors="replace")
    except OSError as error:
        return f"({path.name}: {error.strerror})"


def _keep(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    older = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in older[KEPT - 1 :]:
        path.unlink(missing_ok=True)
    now = dt.datetime.now(tz=dt.UTC).strftime("%Y%m%dT%H%M%S")
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"{name}-{now}-", suffix=".log", dir=folder, delete=False
    ) as log:
        log.write(text)
    return Path(log.name)
