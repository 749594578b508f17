"""Run the tests that carry trust marks, and write the page of them.

Those without real guests share the machine's cores; those with real guests are timed, and run one
by one. Its end is 0 when all of them held.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tools.trust.page import page
from tools.trust.recorder import Outcome, read

__all__ = ["collected", "main", "run"]

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "explanation" / "trust.md"
WITHOUT_GUESTS: Final = ("-m", "trust and not lab", "-n", "2")
WITH_GUESTS: Final = ("-m", "trust and lab")
RAN: Final = (0, 1)
"""How pytest ends when it ran the tests, whatever came of them."""
COLLECTING_S: Final = 100


def collected() -> tuple[Outcome, ...]:
    """List what would be run."""
    return run("-m", "trust", "--collect-only", "-q", quiet=True)


def run(*arguments: str, quiet: bool = False) -> tuple[Outcome, ...]:
    """Run tests with these arguments of pytest, and say what came of those with marks.

    Raises:
        SystemExit: They could not be run: a mark that says something unknown, a broken test file.
    """
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record.json"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-p", "tools.trust.recorder"),
                *(f"--trust-record={record}", *arguments),
            ],
            cwd=ROOT,
            check=False,
            capture_output=quiet,
            text=True,
            timeout=COLLECTING_S if quiet else None,  # each test that is run has its own
        )
        if done.returncode not in RAN:
            said = f"{done.stdout}{done.stderr}\n" if quiet else ""
            sys.exit(f"{said}trust: the tests could not be run; nothing was written")
        return read(record)


def main() -> int:
    """Run all, or those without real guests; write the page of all."""
    parser = argparse.ArgumentParser(prog="python -m tools.trust", description=__doc__)
    parser.add_argument(
        "--only", choices=["non-lab"], help="run those without real guests, and write no page"
    )
    only = parser.parse_args().only
    outcomes = run(*WITHOUT_GUESTS)
    if only is None:
        outcomes += run(*WITH_GUESTS)
        PAGE.write_text(page(outcomes, datetime.now(UTC).date()))
        print(f"written: {PAGE.relative_to(ROOT)}")
    failed = [outcome.item for outcome in outcomes if outcome.failed]
    for item in failed:
        print(f"failed: {item}", file=sys.stderr)
    cases = sum(outcome.cases for outcome in outcomes)
    print(f"{len(outcomes)} tests, {cases} cases, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
