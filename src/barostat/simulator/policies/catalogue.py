"""All policies by the names that `--policy` takes."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Final

from barostat.core.allocation import Mode
from barostat.errors import InputError
from barostat.simulator.policies.barostat import Barostat
from barostat.simulator.policies.base import SizingPolicy
from barostat.simulator.policies.esx import Esx
from barostat.simulator.policies.mom import Mom
from barostat.simulator.policies.proxmox import Proxmox
from barostat.simulator.policies.qemus import Qemus
from barostat.simulator.policies.qmemman import Qmemman
from barostat.simulator.policies.senpai import Senpai
from barostat.simulator.policies.squeezed import Squeezed
from barostat.simulator.policies.static import Static

__all__ = ["NAMES", "make_policy", "rule_of"]

_PEERS: Final[dict[str, Callable[..., SizingPolicy]]] = {
    "proxmox": Proxmox,
    "mom": Mom,
    "squeezed": Squeezed,
    "qmemman": Qmemman,
    "esx": Esx,
    "qemus": Qemus,
    "senpai": Senpai,
}
_OWN: Final = {"barostat": Mode.PRESSURE, "barostat-share": Mode.SHARE}
_OWN_RULES: Final = {
    "barostat": "Barostat in pressure mode: all guests are equally far from what they need.",
    "barostat-share": "Barostat in share mode: every guest has its part of the host, by weight.",
}

NAMES: Final = ("static", *_PEERS, *_OWN)


def make_policy(name: str, *, equal_inputs: bool = False) -> SizingPolicy:
    """Make a policy for one run.

    Args:
        name: one of `NAMES`.
        equal_inputs: have a peer read MemAvailable where its rule reads MemFree.

    Raises:
        InputError: no policy has that name.
    """
    if name == "static":
        return Static()
    if name in _OWN:
        return Barostat(_OWN[name])
    if name in _PEERS:
        return _PEERS[name](equal_inputs=equal_inputs)
    near = difflib.get_close_matches(name, NAMES, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    raise InputError(f"there is no policy {name!r}", hint=f"{meant}policies: {', '.join(NAMES)}")


def rule_of(name: str) -> str:
    """Say in one sentence what a policy does."""
    if name in _OWN:
        return _OWN_RULES[name]
    kind: object = Static if name == "static" else _PEERS[name]
    return (kind.__doc__ or "").strip().splitlines()[0]
