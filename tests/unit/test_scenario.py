"""Scenario files: read whole, every fault named, nothing booted before."""

from __future__ import annotations

from pathlib import Path

import pytest

from barostat.errors import InputError, ScenarioError
from barostat.lab.scenario import read_scenario
from barostat.units import MIB

GOOD = """
[host]
capacity = "900MiB"

[[guest]]
name = "web"
startup = "256MiB"
minimum = "160MiB"
maximum = "768MiB"
buffer = 25
weight = 7000
swap = "64MiB"

[[guest]]
name = "late"
startup = "256MiB"
boot_at = 30

[[step]]
at = 20
guest = "late"
use = "0"

[[step]]
at = 5
guest = "web"
use = "400MiB"
hot = 0.5
cache = "10MiB"
"""


def scenario_file(folder: Path, text: str) -> Path:
    path = folder / "play.toml"
    path.write_text(text)
    return path


def faults_of(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(ScenarioError) as caught:
        read_scenario(scenario_file(folder, text))
    assert "nothing was booted" in caught.value.hint
    return caught.value.faults


def test_a_scenario_is_read_with_its_steps_in_order_of_time(tmp_path: Path) -> None:
    scenario = read_scenario(scenario_file(tmp_path, GOOD))

    assert (scenario.name, scenario.capacity_bytes) == ("play", 900 * MIB)
    web, late = scenario.guests
    assert web.settings.minimum_bytes == 160 * MIB
    assert (web.settings.buffer_percent, web.settings.weight) == (25, 7000)
    assert (web.swap_bytes, late.boot_at_s) == (64 * MIB, 30)
    assert late.settings.minimum_bytes == late.settings.maximum_bytes == 256 * MIB
    assert [step.guest for step in scenario.steps] == ["web", "late"]
    first, second = scenario.steps
    assert (first.use_bytes, first.hot, first.cache_bytes) == (400 * MIB, 0.5, 10 * MIB)
    assert (second.use_bytes, second.cache_bytes) == (0, None)
    assert scenario.settings["web"] is web.settings


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"160MiB"', '"300MiB"', "guest 1: minimum is 300 MiB: it must not be above startup"),
        ('maximum = "768MiB"', 'maximum = "128MiB"', "guest 1: maximum is 128 MiB"),
        ("buffer = 25", "buffer = 1", "guest 1: buffer is 1 %"),
        ("weight = 7000", "weight = 10001", "guest 1: weight is 10001"),
        ('name = "late"', 'name = "web"', 'guest 1: name "web" is used more than once'),
        ('name = "late"', 'name = "Late!"', 'guest 2: name "Late!": it must be'),
        ('swap = "64MiB"', 'swap = "3MiB"', "guest 1: swap is 3145728 bytes: it must be a mult"),
        ("boot_at = 30", "boot_at = -1", "guest 2: boot_at is -1: it must not be negative"),
        ("boot_at = 30", "boot_at = nan", "guest.2.boot_at: input should be a finite number"),
        ("at = 20", "at = inf", "step.1.at: input should be a finite number"),
        ("hot = 0.5", "hot = nan", "step.2.hot: input should be a finite number"),
        ('maximum = "768MiB"', 'maximum = "9GiB"', "guest 1: maximum is 9216 MiB: a lab guest can"),
        ('startup = "256MiB"\nboot', 'startup = "64MiB"\nboot', "guest 2: startup is 64 MiB"),
        ('guest = "late"\nuse', 'guest = "lete"\nuse', 'step 1: there is no guest "lete"; did you'),
        ('guest = "late"\nuse', 'guest = "q"\nuse', 'step 1: there is no guest "q"'),
        ("at = 20", "at = -20", "step 1: at is -20: it must not be negative"),
        ("hot = 0.5", "hot = 1.5", "step 2: hot is 1.5: it is a share, 0 to 1"),
        ('use = "0"', "", 'step 1: it changes nothing: give it "use" or "cache"'),
        ('"900MiB"', '"200MiB"', "host: capacity is 200 MiB, but the guests that boot first"),
        ('"900MiB"', '"400MiB"', 'guest "late" can never start: its startup, 256 MiB'),
        ('"900MiB"', '"900MB"', "host.capacity:"),
        ("[host]", "[hots]", 'hots: there is no such key; did you mean "host"?'),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, old: str, new: str, fault: str) -> None:
    assert old in GOOD

    found = faults_of(tmp_path, GOOD.replace(old, new, 1))

    assert any(text.startswith(fault) for text in found), found


def test_a_scenario_without_guests_is_refused(tmp_path: Path) -> None:
    assert faults_of(tmp_path, 'guest = []\n[host]\ncapacity = "1GiB"') == (
        "guest: 0 guests: 1 to 64 can be booted",
    )


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("buffer = 25", "buffer = 1").replace("hot = 0.5", "hot = -1")

    assert len(faults_of(tmp_path, text)) == 2


def test_an_absent_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_scenario(tmp_path / "absent.toml")


@pytest.mark.parametrize("name", ["...toml", ".toml", ".hidden.toml"])
def test_a_name_that_would_lead_out_of_the_folder_of_labs_is_refused(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_text(GOOD)

    with pytest.raises(ScenarioError, match="it must not begin with a dot"):
        read_scenario(path)
