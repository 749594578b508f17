"""Run benchmarks: `python -m benchmarks [NAME ...]`; without a name, all of them."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from types import ModuleType

from rich.console import Console

import benchmarks
from benchmarks import harness

NOT_BENCHES = {"__main__", "harness", "real"}


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
    console = Console()
    for name in names:
        console.print(f"[bold]{name}[/bold]: {summary(known[name])}")
        result = known[name].run()
        harness.show(result, console)
        console.print(f"written to {harness.store(name, result)}\n", highlight=False)
    return 0


def summary(module: ModuleType) -> str:
    """Say in a line what a benchmark measures: the first line of its docstring."""
    return (module.__doc__ or "").strip().partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
