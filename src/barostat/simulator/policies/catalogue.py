"""All policies by the names that `--policy` takes.

Nothing of a policy is loaded before it is made: the names and rules are wanted for help alone, too.
"""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING, Final, cast

from barostat.core.allocation import Mode
from barostat.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from barostat.simulator.policies.base import SizingPolicy

__all__ = ["NAMES", "make_policy", "rule_of"]

_RULES: Final = {
    "static": "Every VM keeps its share of the host, by its size.",
    "proxmox": "The host is brought to 80 % in use, by at most 100 MiB a guest every 10 s.",
    "mom": "All guests shrink by up to 5 % while under 20 % of the host is free; else all grow.",
    "squeezed": "Every guest gets the same share of the range from its minimum to its maximum.",
    "qmemman": "Every guest gets memory in proportion to what it uses.",
    "esx": "Memory goes by shares, and an idle page counts as four active ones.",
    "qemus": "A controller for each guest holds the host at 20 % free, not knowing of the others.",
    "senpai": "Each guest is trimmed by 1 % every 6 s, and grown at once when it stalls.",
    "barostat": "Barostat in pressure mode: all guests are equally far from what they need.",
    "barostat-share": "Barostat in share mode: every guest has its part of the host, by weight.",
}
_MODES: Final = {"barostat": Mode.PRESSURE, "barostat-share": Mode.SHARE}

NAMES: Final = tuple(_RULES)


def make_policy(name: str, *, equal_inputs: bool = False) -> SizingPolicy:
    """Make a policy for one run.

    Args:
        name: one of `NAMES`.
        equal_inputs: give a peer what Barostat reads, MemAvailable, where its rule reads less.

    Raises:
        InputError: no policy has that name.
    """
    if name not in _RULES:
        raise _unknown(name)
    if name in _MODES:
        return _kind("barostat")(_MODES[name])
    if name == "static":
        return _kind(name)()
    return _kind(name)(equal_inputs=equal_inputs)


def rule_of(name: str) -> str:
    """Say in one sentence what a policy does.

    Raises:
        InputError: no policy has that name.
    """
    if name not in _RULES:
        raise _unknown(name)
    return _RULES[name]


def _kind(module: str) -> Callable[..., SizingPolicy]:
    """Load a policy's module; its class has its name."""
    loaded = importlib.import_module(f"barostat.simulator.policies.{module}")
    return cast("Callable[..., SizingPolicy]", getattr(loaded, module.capitalize()))


def _unknown(name: str) -> InputError:
    near = difflib.get_close_matches(name, NAMES, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return InputError(f"there is no policy {name!r}", hint=f"{meant}policies: {', '.join(NAMES)}")
