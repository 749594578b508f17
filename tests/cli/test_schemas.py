"""What commands print with `--output json` fits the schemas that docs/reference/schema promises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema_rs
import pytest

from .conftest import Shell
from .played_daemon import PlayedDaemon

SCHEMAS = Path(__file__).parent.parent.parent / "docs" / "reference" / "schema"


@pytest.fixture
def _daemon(tmp_path: Path) -> Iterator[None]:
    """A daemon that answers where the commands look for one."""
    folder = tmp_path / "settings"
    folder.mkdir()
    with PlayedDaemon(folder, tmp_path / "barostat.sock"):
        yield


@pytest.mark.usefixtures("_daemon")
@pytest.mark.parametrize(
    ("words", "schema"),
    [
        ("list --all", "overview"),
        ("plan", "overview"),
        ("explain db", "explanation"),
        ("show web", "details"),
        ("show db", "details"),
        ("set web --weight 9", "change"),
        ("enable db", "change"),
        ("disable web", "change"),
        ("pause web", "change"),
        ("pause", "host-pause"),
        ("resume", "host-pause"),
        ("watch web --until ok", "watched"),
        ("admit new --release", "release"),
        ("admit new --size 1MiB", "start"),
        ("history web", "guest-history"),
        ("token create --role viewer --name grafana", "token-made"),
        ("token list", "token-list"),
        ("doctor --qmp VMS", "examination"),
    ],
)
def test_a_document_fits_its_schema(barostat: Shell, vms: Path, words: str, schema: str) -> None:
    run = barostat(*words.replace("VMS", str(vms)).split(), "--output", "json")

    fits = jsonschema_rs.validator_for(json.loads((SCHEMAS / f"{schema}.json").read_text()))
    assert [error.message for error in fits.iter_errors(run.document)] == []
