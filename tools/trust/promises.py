"""What Barostat promises: the keys that marks of tests carry, and their sentences on the page."""

from __future__ import annotations

from typing import Final

__all__ = ["PROMISES"]

PROMISES: Final = {
    "capacity": "Never more is promised than the host has; where the host itself lost memory, "
    "nobody is granted any.",
    "confirmed": "Nothing is granted before it is confirmed free.",
    "minimum": "No guest is below its minimum by our doing.",
    "unharmed": "No guest is lost or starved by our doing.",
    "ends": "Every shrink ends: done, cancelled or stuck.",
    "rest": "Nothing oscillates for constant demand.",
    "liars": "A liar gains nothing in `share` mode; in `pressure` mode no more than the host "
    "cannot see.",
    "start": "A VM starts only when its memory is there.",
    "doubt": "Doubt means hold: what cannot be judged is not shrunk.",
    "neighbours": "A guest in trouble does not take its neighbours along.",
    "input": "No input from outside crashes, hangs or grows the daemon.",
    "restart": "A daemon that is killed loses nothing: what it must know is read back.",
}
