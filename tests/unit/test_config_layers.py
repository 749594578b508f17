"""Where the configuration comes from: the later wins, and every fault is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from barostat.config import layers
from barostat.config.layers import load, variable
from barostat.core.allocation import Mode
from barostat.core.policy import DemandPolicy, DemandSource, Policy
from barostat.errors import ConfigError
from barostat.units import GIB, MIB

RANGE = "is out of range"
NO_VARIABLE = "there is no such variable"
RESERVE = '"BAROSTAT_HOST__RESERVE"'


def written(folder: Path, text: str, name: str = "barostat.toml") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def faults_of(file: Path | None, **environment: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(file, environment=environment)
    assert "nothing was changed" in caught.value.hint
    return caught.value.faults


def test_without_any_file_all_is_built_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "CONFIG_FILE", tmp_path / "absent.toml")

    loaded = load(environment={"PATH": "/bin"})

    assert loaded.config.policy.policy(loaded.config.demand) == Policy()
    assert (loaded.files, dict(loaded.origins)) == ((), {})


def test_the_later_wins_and_its_place_is_known(tmp_path: Path) -> None:
    file = written(tmp_path, '[host]\nreserve = "1GiB"\noverhead = "9MiB"\n[policy]\ntick_s = 2\n')
    first = written(tmp_path, '[host]\nreserve = "2GiB"\n', "conf.d/10-a.toml")
    last = written(tmp_path, '# on top\n[host]\nreserve = "3GiB"\n', "conf.d/20-b.toml")
    written(tmp_path, "not read", "conf.d/30.conf")
    written(tmp_path, "not read", "conf.d/.hidden.toml")

    loaded = load(file, environment={"BAROSTAT_POLICY__TICK_S": "3", "BAROSTAT_QMP": "/x"})

    assert loaded.files == (file, first, last)
    assert (loaded.config.host.reserve, loaded.config.host.overhead) == (3 * GIB, 9 * MIB)
    assert loaded.config.policy.tick_s == 3
    assert loaded.origins == {
        ("host", "reserve"): f"{last}:3",
        ("host", "overhead"): f"{file}:3",
        ("policy", "tick_s"): "BAROSTAT_POLICY__TICK_S",
    }


def test_what_counts_as_demand_is_a_section_of_its_own(tmp_path: Path) -> None:
    file = written(tmp_path, '[demand]\nsource = "committed"\nadaptive = true\n')

    config = load(file, environment={"BAROSTAT_DEMAND__TRIM": "true"}).config

    demand = config.policy.policy(config.demand).demand
    assert demand == DemandPolicy(source=DemandSource.COMMITTED, adaptive=True, trim=True)


def test_a_trim_that_stalls_more_than_is_borne_makes_no_sense(tmp_path: Path) -> None:
    file = written(tmp_path, "[demand]\ntrim_stall_ratio = 0.5\ntrim = 1\n")
    assert faults_of(file) == (f"{file}:3: demand.trim: input should be a valid boolean",)
    file = written(tmp_path, "[demand]\ntrim_stall_ratio = 0.5\n")

    said = "0.00166667 is less than trim_stall_ratio, 0.5: it must not be"
    assert faults_of(file) == (f"{file}:2: demand.stall_ratio: {said}",)


def test_every_fault_of_every_layer_is_named_with_its_place(tmp_path: Path) -> None:
    text = """[host]
reserve = "4GB"
[logs]
[qmp]
folders = [
  "/run/vms",
  "relative",
]
[log]
level = "loud"
libvirt = 1
"""
    file = written(tmp_path, text)
    drop_in = written(tmp_path, "[policy]\ntick_s = nan\nx = [\n", "conf.d/a.toml")

    faults = faults_of(file, BAROSTAT_POLICY__TICK_S="99", BAROSTAT_HOST_RESERVE="1GiB")

    assert sorted(faults) == sorted(
        (
            f'{file}:2: host.reserve: "4GB" has a decimal unit: write "4GiB" if you mean that',
            f'{file}:3: logs: there is no such key; did you mean "log"?',
            f'{file}:5: qmp.folders.2: a path is written in quotes and begins with "/"',
            f"{file}:10: log.level: input should be 'debug', 'info', 'warning' or 'error'",
            f"{file}:11: log.libvirt: there is no such key; known are level, format",
            f"{drop_in}: it is not TOML: Invalid value (at end of document)",
            f"BAROSTAT_POLICY__TICK_S: policy.tick_s: 99 s {RANGE}: it must be 0.1 s to 10 s",
            f"BAROSTAT_HOST_RESERVE: {NO_VARIABLE}; did you mean {RESERVE}?",
        )
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("host = 3", "1: host: it must be a table of keys"),
        ("[[host]]\nreserve = '1GiB'", "1: host: it must be a table of keys"),
        (
            "[policy]\nnudge_s = 6",
            "2: policy.stuck_s: 5 s is less than nudge_s, 6 s: it must not be",
        ),
        (
            "[policy]\ndead_band_low = '1GiB'",
            "2: policy.dead_band_high: 128MiB is less than dead_band_low, 1GiB: it must not be",
        ),
        (
            "[host]\nlow_ratio = -0.1",
            "2: host.low_ratio: -0.1 is out of range: it must be 0 to 0.5",
        ),
        (
            "[host]\ncapacity = '1KiB'",
            "2: host.capacity: 1KiB is out of range: it must be 1MiB to 1024TiB",
        ),
        (
            "[host]\ncapacity = 1024",
            '2: host.capacity: a size is written in quotes with its unit, as in "512MiB"',
        ),
        (
            f"[service]\nsocket = '/{'x' * 107}'",
            "2: service.socket: a socket's path has at most 107 bytes, this has 108",
        ),
        ("[libvirt]\nuris = [3]", "2: libvirt.uris.1: input should be a valid string"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(
    tmp_path: Path, text: str, fault: str
) -> None:
    file = written(tmp_path, text)

    assert faults_of(file) == (f"{file}:{fault}",)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    faults = faults_of(tmp_path / "absent.toml")

    assert faults == (f"cannot read {tmp_path / 'absent.toml'}: No such file or directory",)


def test_a_file_that_is_there_and_cannot_be_read_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    monkeypatch.setattr(layers, "CONFIG_FILE", loop / "barostat.toml")

    assert f"cannot read {loop / 'barostat.toml'}" in faults_of(None)[0]


def test_drop_ins_that_cannot_be_listed_are_a_fault(tmp_path: Path) -> None:
    file = written(tmp_path, "")
    (tmp_path / "conf.d").symlink_to(tmp_path / "conf.d")  # a loop

    assert "conf.d" in faults_of(file)[0]


@pytest.mark.parametrize(
    ("section", "key", "text", "value"),
    [
        ("host", "reserve", "512MiB", 512 * MIB),
        ("host", "reserve", '"512MiB"', 512 * MIB),
        ("host", "reserve", "auto", None),
        ("policy", "tick_s", "0.5", 0.5),
        ("libvirt", "uris", '["test:///default"]', ("test:///default",)),
        ("service", "group", "100", "100"),
        ("log", "level", "debug", "debug"),
    ],
)
def test_a_variable_needs_quotes_only_where_a_list_does(
    tmp_path: Path, section: str, key: str, text: str, value: object
) -> None:
    loaded = load(written(tmp_path, ""), environment={variable(section, key): text})

    assert getattr(getattr(loaded.config, section), key) == value


def test_a_variable_cannot_smuggle_in_another_key(tmp_path: Path) -> None:
    faults = faults_of(written(tmp_path, ""), BAROSTAT_POLICY__TICK_S="1\nstale_s = 9")

    assert faults == ("BAROSTAT_POLICY__TICK_S: policy.tick_s: input should be a valid number",)


def test_a_variable_of_no_section_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "")

    assert faults_of(file, BAROSTAT_HOTS__RESERVE="auto") == (
        'BAROSTAT_HOTS__RESERVE: hots: there is no such key; did you mean "host"?',
    )
    assert faults_of(file, BAROSTAT_ZZZ="1") == (
        "BAROSTAT_ZZZ: there is no such variable; a setting is BAROSTAT_SECTION__KEY",
    )


def test_the_numbers_of_the_policy_reach_it(tmp_path: Path) -> None:
    file = written(tmp_path, '[policy]\nmode = "share"\ndead_band_low = "4MiB"\nsettle_s = 0\n')

    config = load(file, environment={}).config
    policy = config.policy.policy(config.demand)

    assert policy == Policy(mode=Mode.SHARE, dead_band_low_bytes=4 * MIB, settle_s=0)
