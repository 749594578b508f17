"""The configuration in words: complete, and true to what the program takes."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from barostat.cli.config import EXPLAINED_BY
from barostat.config.describe import example, sections, values
from barostat.config.layers import OF_COMMANDS, load
from barostat.config.numbers import key_of
from barostat.config.sections import DaemonConfig
from barostat.core.fence import FencePolicy
from barostat.core.policy import DemandPolicy, Policy
from barostat.engine.sampling import Pace
from barostat.host.policy import HostPolicy

SOURCES = Path(__file__).parent.parent.parent / "src"


def test_every_key_is_explained() -> None:
    for section in sections(EXPLAINED_BY):
        for entry in section.entries:
            assert len(entry.why) > 10, (section.name, entry.key)
            assert entry.accepts


def test_the_example_with_every_mark_taken_away_is_what_is_built_in(tmp_path: Path) -> None:
    text = example(EXPLAINED_BY)
    file = tmp_path / "all.toml"
    file.write_text(re.sub(r"^#(?! )", "", text, flags=re.MULTILINE))

    loaded = load(file, environment={})

    keys = {
        (section, key)
        for section, info in DaemonConfig.model_fields.items()
        for key in DaemonConfig().model_dump()[section]
    }
    assert loaded.origins.keys() == keys
    assert loaded.config.host == DaemonConfig().host
    assert loaded.config.policy == DaemonConfig().policy
    assert loaded.config.agent == DaemonConfig().agent
    assert values(loaded.config)["demand", "stall_ratio"] == "0.00166667"
    assert loaded.config.libvirt.uris == ("qemu:///system",)
    assert loaded.config.service.group == "barostat"


def test_the_example_as_it_is_sets_nothing(tmp_path: Path) -> None:
    file = tmp_path / "example.toml"
    file.write_text(example(EXPLAINED_BY))

    assert load(file, environment={}).origins == {}


def test_the_numbers_have_the_names_and_defaults_of_what_they_are_for() -> None:
    config = DaemonConfig()
    policies = (
        (config.policy, Policy()),
        (config.demand, DemandPolicy()),
        (config.lane, Pace()),
        (config.host, HostPolicy()),
        (config.fence, FencePolicy()),
    )
    for section, policy in policies:
        fields = {
            key_of(field.name): getattr(policy, field.name)
            for field in dataclasses.fields(policy)
            if field.name not in {"mode", "source", "demand"}
        }
        assert section.model_dump(exclude={"mode", "source"}) == fields
    assert config.demand.policy() == DemandPolicy()
    assert config.fence.policy() == FencePolicy()


def test_values_are_written_as_a_file_takes_them() -> None:
    shown = values(DaemonConfig())

    assert shown["host", "reserve"] == '"auto"'
    assert shown["policy", "step_high"] == '"2GiB"'
    assert shown["policy", "tick_s"] == "1"
    assert shown["demand", "source"] == '"used"'
    assert shown["demand", "adaptive"] == "false"
    assert shown["qmp", "folders"] == "[]"
    assert shown["service", "group"] == ""


def test_every_variable_that_a_command_reads_is_known_not_to_be_a_setting() -> None:
    named = {
        name
        for path in SOURCES.rglob("*.py")
        for name in re.findall(r'"(BAROSTAT_[A-Z]+)"', path.read_text())
    }

    assert named <= OF_COMMANDS
