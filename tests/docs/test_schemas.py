"""What `--output json` says keeps its keys: a schema a document, and real answers that fit it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema_rs
import pytest
from tests.tui.conftest import World

from barostat.cli.watch import Watched
from barostat.config.settings_file import SettingsPatch
from barostat.errors import SettingsError
from barostat.service.documents import Document
from barostat.service.problems import problem_of
from barostat.units import GIB

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "reference" / "schema"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two VMs: `web` with settings, `old` without."""
    made = World(tmp_path)
    made.add("web", settings='minimum = "256MiB"\n', use_mib=500)
    made.add("old", settings=None)
    return made


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("schemas", ROOT / "tools" / "schemas.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCHEMAS = generator()


@pytest.mark.parametrize("name", SCHEMAS.DOCUMENTS)
def test_no_key_that_scripts_rely_on_is_gone(name: str) -> None:
    before = json.loads((FOLDER / f"{name}.json").read_text())

    assert SCHEMAS.missing(before, SCHEMAS.schema(name)) == set()


@pytest.mark.parametrize("name", SCHEMAS.DOCUMENTS)
def test_a_schema_says_what_the_program_says(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text() == SCHEMAS.written(name), "run `make docs`"


def test_there_are_no_other_schemas() -> None:
    assert {path.stem for path in FOLDER.glob("*")} == set(SCHEMAS.DOCUMENTS)


def test_a_key_that_would_be_gone_is_found() -> None:
    before = SCHEMAS.schema("overview")
    after = json.loads(json.dumps(before).replace('"tier"', '"level"'))

    assert SCHEMAS.missing(before, after) == {"Host.tier"}
    assert SCHEMAS.missing(after, before) == {"Host.level"}


def check(name: str, said: Document | dict[str, Any]) -> None:
    """Hold what was said against its schema."""
    document = said if isinstance(said, dict) else said.model_dump(mode="json")
    schema = json.loads((FOLDER / f"{name}.json").read_text())
    jsonschema_rs.validator_for(schema).validate(document)


async def test_what_a_desk_says_fits(world: World) -> None:
    await world.look()
    overview = await world.overview(everyone=True)

    check("overview", overview)
    check("details", await world.details("web"))
    check("details", await world.details("old"))
    check("explanation", await world.explanation("web"))
    check("change", await world.change("web", SettingsPatch(weight=1)))
    check("host-pause", await world.pause_host(paused=True))
    check("watched", Watched(at_s=0.5, reached=False, guest=overview.guests[0]))
    check("watched", Watched(at_s=0.5, reached=True, guest=None))


async def test_what_a_host_in_need_says_fits(world: World) -> None:
    world.capacity_bytes = GIB
    world.__post_init__()
    for name in ("web", "db"):
        world.add(name, boot_mib=1024, use_mib=900)
    await world.look()

    overview = await world.overview()
    assert overview.host.alarms
    check("overview", overview)


def test_what_is_refused_fits() -> None:
    faults = ("buffer is 4 %", "weight is -1")
    check("problem", problem_of(SettingsError("no", faults=faults, hint="correct it")))


def test_what_does_not_fit_is_found() -> None:
    with pytest.raises(jsonschema_rs.ValidationError):
        check("host-pause", {"before": True})
