"""Write docs/reference/schema from the documents: a JSON Schema for all that `--output json` says.

`python tools/schemas.py` writes them; a test compares them with what it would write. A key that
was there may not go, nor change its name: scripts rely on it, and so this refuses to write that.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from barostat.cli.watch import Watched
from barostat.service.documents import (
    Change,
    Details,
    Examination,
    Explanation,
    HostPause,
    Overview,
    Problem,
    Release,
    Start,
    TokenList,
    TokenMade,
    TokenView,
)
from barostat.service.past import GuestHistory

FOLDER = Path(__file__).parent.parent / "docs" / "reference" / "schema"

DOCUMENTS: dict[str, tuple[type[BaseModel], str]] = {
    "change": (Change, "`set`, `enable`, `disable`; `pause` and `resume` of a VM"),
    "details": (Details, "`show`"),
    "examination": (Examination, "`doctor`"),
    "explanation": (Explanation, "`explain`"),
    "guest-history": (GuestHistory, "`history`"),
    "host-pause": (HostPause, "`pause` and `resume` of the host"),
    "overview": (Overview, "`list` and `plan`"),
    "problem": (Problem, "every error of the API"),
    "release": (Release, "`admit --release`"),
    "start": (Start, "`admit`"),
    "token": (TokenView, "`token revoke`"),
    "token-list": (TokenList, "`token list`"),
    "token-made": (TokenMade, "`token create`"),
    "watched": (Watched, "every line of `watch`"),
}


def schema(name: str) -> dict[str, Any]:
    """Describe one document."""
    model, said_by = DOCUMENTS[name]
    described = model.model_json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"Written by tools/schemas.py. What is said by: {said_by}.",
        **described,
    }


def written(name: str) -> str:
    """Write one description out."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"


def keys(described: dict[str, Any]) -> Iterator[str]:
    """Name every key of a document, each after what it is part of."""
    parts = {described["title"]: described, **described.get("$defs", {})}
    for title, part in parts.items():
        yield from (f"{title}.{key}" for key in part.get("properties", ()))


def missing(old: dict[str, Any], new: dict[str, Any]) -> set[str]:
    """Name the keys that scripts had and would not find any more."""
    return set(keys(old)) - set(keys(new))


def main() -> None:
    """Write them, or refuse to."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in DOCUMENTS:
        path = FOLDER / f"{name}.json"
        gone = missing(json.loads(path.read_text()), schema(name)) if path.exists() else set()
        if gone:
            sys.exit(f"{path.name}: these keys would be gone: {', '.join(sorted(gone))}")
    for name in DOCUMENTS:
        (FOLDER / f"{name}.json").write_text(written(name))
    print(f"written: docs/reference/schema, {len(DOCUMENTS)} files")


if __name__ == "__main__":
    main()
