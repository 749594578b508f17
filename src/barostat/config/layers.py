"""Where the daemon's configuration comes from: files and variables, one over the other.

The later wins, key by key: what is built in, the file, the drop-ins in `conf.d` beside it by their
names, the variables BAROSTAT_SECTION__KEY. Nothing is half taken: it gives one whole configuration,
or an error with every fault of every layer, each with its file and line or its variable.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from barostat.config.key_lines import key_lines
from barostat.config.sections import DaemonConfig
from barostat.config.toml_file import parse_toml, read_text, sentence_of
from barostat.errors import ConfigError, InputError

__all__ = ["CONFIG_FILE", "Loaded", "load", "variable"]

CONFIG_FILE: Final = Path("/etc/barostat/barostat.toml")
DROP_INS: Final = "conf.d"

PREFIX: Final = "BAROSTAT_"
OF_COMMANDS: Final = frozenset({"BAROSTAT_CONNECT", "BAROSTAT_QMP", "BAROSTAT_SOCKET"})
"""Variables with our prefix that stand for options of commands and configure no daemon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration, and where it came from.

    Attributes:
        config: all of it.
        origins: by section and key, the place that set it; what is not there is built in.
        files: what was read, in order.
    """

    config: DaemonConfig
    origins: Mapping[tuple[str, str], str]
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """What one file or variable sets.

    Attributes:
        place: the file or variable.
        raw: sections and their keys, unchecked; nothing if it cannot be read.
        fault: why it cannot be read.
        lines: those of its keys, if it has any.
    """

    place: str
    raw: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    def place_of(self, path: Sequence[str | int]) -> str:
        """Say where a key is set: on its line, or on that of the nearest thing around it."""
        for length in range(len(path), 0, -1):
            line = self.lines.get(tuple(str(part) for part in path[:length]))
            if line is not None:
                return f"{self.place}:{line}"
        return self.place


def variable(section: str, key: str) -> str:
    """Name the environment variable that sets a key."""
    return f"{PREFIX}{section}__{key}".upper()


def load(file: Path | None = None, *, environment: Mapping[str, str]) -> Loaded:
    """Read the configuration.

    Args:
        file: instead of /etc/barostat/barostat.toml, which may be missing; this one may not.
        environment: the variables.

    Raises:
        ConfigError: with every fault; nothing was changed.
    """
    files = [_file_layer(path) for path in _files(file)]
    layers = [*files, *_variable_layers(environment)]
    faults = [fault for layer in layers for fault in _faults(layer)]
    if not faults:
        config, origins = _merged(layers)
        faults = list(_senseless(config, origins))
        if not faults:
            read = tuple(Path(layer.place) for layer in files)
            return Loaded(config=config, origins=origins, files=read)
    raise ConfigError(
        "the configuration cannot be used: " + "; ".join(faults),
        faults=tuple(faults),
        hint="correct what is named, then see `barostat config check`; nothing was changed",
    )


def _files(file: Path | None) -> Iterator[Path]:
    """Name the files to read, in order; what may be missing is left out if it is."""
    main = file or CONFIG_FILE
    if file is not None or _is_there(main):
        yield main
    drop_ins = main.parent / DROP_INS
    try:
        found = sorted(drop_ins.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError:
        yield drop_ins  # reading it says why
        return
    yield from (path for path in found if path.suffix == ".toml" and path.name[0] != ".")


def _is_there(path: Path) -> bool:
    """Say whether a file is there; one that cannot be looked at is, and reading it says why."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _file_layer(path: Path) -> _Layer:
    try:
        text, fault = read_text(path)
    except InputError as error:
        return _Layer(place=str(path), fault=error.message)
    raw = None
    if text is not None:
        raw, fault = parse_toml(text)
    if text is None or raw is None:
        return _Layer(place=str(path), fault=f"{path}: {fault}")
    return _Layer(place=str(path), raw=raw, lines=key_lines(text))


def _variable_layers(environment: Mapping[str, str]) -> Iterator[_Layer]:
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in OF_COMMANDS:
            continue
        section, between, key = name.removeprefix(PREFIX).lower().partition("__")
        if between:
            raw = {section: {key: _meant(section, key, environment[name])}}
            yield _Layer(place=name, raw=raw)
        else:
            yield _Layer(place=name, fault=f"{name}: {_no_such_variable(name)}")


def _no_such_variable(name: str) -> str:
    known = [
        variable(section, key)
        for section, values in DaemonConfig().model_dump().items()
        for key in values
    ]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    meant = f'did you mean "{near[0]}"?' if near else f"a setting is {PREFIX}SECTION__KEY"
    return f"there is no such variable; {meant}"


def _meant(section: str, key: str, text: str) -> object:
    """Take a variable as the text that it is where that will do, as a value in TOML elsewhere."""
    try:
        DaemonConfig.model_validate({section: {key: text}})
    except ValidationError:
        raw, _ = parse_toml(f"value = {text}")
        if raw is not None and raw.keys() == {"value"}:
            return raw["value"]
    return text


def _faults(layer: _Layer) -> Iterator[str]:
    if layer.fault:
        yield layer.fault
    try:
        DaemonConfig.model_validate(layer.raw)
    except ValidationError as error:
        for details in error.errors():
            path = details["loc"]
            shown = ".".join(str(part + 1) if isinstance(part, int) else part for part in path)
            yield f"{layer.place_of(path)}: {shown}: {sentence_of(details, DaemonConfig)}"


def _merged(layers: Sequence[_Layer]) -> tuple[DaemonConfig, dict[tuple[str, str], str]]:
    """Lay good layers over each other."""
    raw: dict[str, dict[str, Any]] = {}
    origins = {}
    for layer in layers:
        for section, values in layer.raw.items():
            raw.setdefault(section, {}).update(values)
            for key in values:
                origins[section, key] = layer.place_of((section, key))
    return DaemonConfig.model_validate(raw), origins


def _senseless(config: DaemonConfig, origins: Mapping[tuple[str, str], str]) -> Iterator[str]:
    for section, part in (
        ("host", config.host),
        ("policy", config.policy),
        ("demand", config.demand),
        ("service", config.service),
    ):
        for keys, sentence in part.senseless():
            place = next((origins[section, key] for key in keys if (section, key) in origins), "")
            yield f"{place}: {section}.{keys[0]}: {sentence}"
