"""Documents on their way to a person or a script; docs/reference/output.md describes them."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from barostat.cli.output import fail, print_json
from barostat.errors import BarostatError
from barostat.service.documents import Fault

__all__ = ["print_document", "tell_faults"]


def print_document(document: BaseModel) -> None:
    """Print a document as JSON."""
    print_json(document.model_dump(mode="json"))


def tell_faults(faults: Sequence[Fault]) -> None:
    """Say why something that should be a VM, or a whole connection, is not seen."""
    for fault in faults:
        fail(BarostatError(fault.message, hint=fault.hint))
