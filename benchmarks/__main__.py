"""Run benchmarks: `python -m benchmarks [NAME ...]`; without a name, all of them."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from types import ModuleType

from rich.console import Console

import benchmarks
from barostat.errors import BarostatError, first_fault
from benchmarks import harness

NOT_BENCHES = {"__main__", "harness", "real"}
WIDTH = 120
"""Of a table that nobody sees on a terminal."""

INTERRUPTED = 130


def benches() -> dict[str, ModuleType]:
    """Find every benchmark of this package, by name."""
    names = sorted({module.name for module in pkgutil.iter_modules(benchmarks.__path__)})
    return {
        name: importlib.import_module(f"benchmarks.{name}")
        for name in names
        if name not in NOT_BENCHES
    }


def main() -> int:
    known = benches()
    lines = [f"  {name}: {summary(module)}" for name, module in known.items()]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure, print a table each, and write benchmarks/results/NAME.json.",
        epilog="\n".join(["benchmarks:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="all, if none is named")
    names = parser.parse_args().names or list(known)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are: {', '.join(known)}")
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    try:
        measured = [measure(name, known[name], console) for name in names]
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0 if all(measured) else 1


def measure(name: str, module: ModuleType, console: Console) -> bool:
    """Run one benchmark and show what it found; say whether it could be run."""
    console.print(f"[bold]{name}[/bold]: {summary(module)}")
    try:
        result = module.run()
    except Exception as error:
        cause = first_fault(error)
        if not isinstance(cause, BarostatError | TimeoutError):
            raise
        console.print(f"{name} could not be measured: {str(cause) or 'it took too long'}")
        if isinstance(cause, BarostatError) and cause.hint:
            console.print(f"  {cause.hint}")
        return False
    harness.show(result, console)
    console.print(f"written to {harness.store(name, result)}\n")
    return True


def summary(module: ModuleType) -> str:
    """Say in a line what a benchmark measures: the first line of its docstring."""
    return (module.__doc__ or "").strip().partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
