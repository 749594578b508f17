"""Time of one completion in the shell: the whole of `barostat`, asking a daemon of n VMs for names.

The limit is a Python that starts and does nothing.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.harness import Cell, Result, in_turn

GUESTS = (30, 300, 1_000)
ROUNDS = 15
BAROSTAT = Path(sys.executable).parent / "barostat"
GUEST_BYTES = 900
"""What one VM takes of an answer; what a daemon takes to write it is told by other benchmarks."""


class Answering:
    """Answers as a daemon of n VMs does, until closed."""

    def __init__(self, path: Path, count: int) -> None:
        filling = "x" * GUEST_BYTES
        guests = ",".join(f'{{"name":"vm{number}","why":"{filling}"}}' for number in range(count))
        body = f'{{"guests":[{guests}],"powered_off":[]}}'
        self._answer = f"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}".encode()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            caller, _ = self._listener.accept()
            with caller:
                if not caller.recv(4096):
                    return
                caller.sendall(self._answer)

    def close(self, path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(path))
        self._thread.join()
        self._listener.close()


def complete(path: Path) -> None:
    asking = {
        "COMP_WORDS": "barostat show vm1",
        "COMP_CWORD": "2",
        "_BAROSTAT_COMPLETE": "bash_complete",
        "BAROSTAT_SOCKET": str(path),
    }
    subprocess.run([BAROSTAT], env=os.environ | asking, check=True, stdout=subprocess.DEVNULL)


def start() -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


def run() -> Result:
    rows: list[tuple[Cell, ...]] = []
    samples: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="barostat-") as folder:
        nobody = Path(folder) / "nobody.sock"
        for count in GUESTS:
            path = Path(folder) / f"{count}.sock"
            answering = Answering(path, count)
            jobs: dict[str, Callable[[], object]] = {
                "names": partial(complete, path),
                "no daemon": partial(complete, nobody),
                "limit": start,
            }
            try:
                times = in_turn(jobs, rounds=ROUNDS)
            finally:
                answering.close(path)
            rows.append((count, *(statistics.median(found) * 1e3 for found in times.values())))
            samples |= {f"{name} {count}": found for name, found in times.items()}
    return Result(
        title="Completing a VM's name",
        columns=("VMs", "with a daemon, ms", "without, ms", "limit: Python alone, ms"),
        rows=tuple(rows),
        note=f"medians of {ROUNDS} rounds, in turn; the whole process each time",
        samples=samples,
    )
