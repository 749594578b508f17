from __future__ import annotations

import pytest

from barostat import errors
from barostat.errors import (
    BarostatError,
    GuestDiedError,
    HypervisorError,
    InputError,
    LabError,
    ScenarioError,
    SettingsError,
)


def test_an_error_says_what_was_wrong_and_what_to_do() -> None:
    error = BarostatError("the socket is not there", hint="start the guest")

    assert str(error) == error.message == "the socket is not there"
    assert error.hint == "start the guest"


def test_an_error_without_advice_has_an_empty_hint() -> None:
    assert BarostatError("it broke").hint == ""


@pytest.mark.parametrize("kind", [SettingsError, ScenarioError])
def test_an_error_of_many_faults_carries_each_of_them(
    kind: type[SettingsError | ScenarioError],
) -> None:
    error = kind("two faults", faults=("weight is -1", "buffer is 3 %"), hint="correct them")

    assert error.faults == ("weight is -1", "buffer is 3 %")
    assert error.hint == "correct them"
    assert kind("none named").faults == ()


def test_the_death_of_a_guest_names_its_console_log() -> None:
    error = GuestDiedError("the guest ended", console="/run/lab/web.log", hint="read its console")

    assert error.console == "/run/lab/web.log"
    assert error.hint == "read its console"


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_in_the_tree_as_the_docstring_draws_it(name: str) -> None:
    kind = getattr(errors, name)

    assert issubclass(kind, BarostatError)
    assert name in (errors.__doc__ or "")


@pytest.mark.parametrize(
    ("base", "names"),
    [
        (InputError, ["SizeError", "SettingsError", "ScenarioError", "UnknownGuestError"]),
        (
            HypervisorError,
            ["UnreachableError", "DeadlineError", "RefusedError", "GuestGoneError"],
        ),
        (LabError, ["MissingPackagesError", "GuestDiedError"]),
    ],
)
def test_a_branch_of_the_tree_can_be_caught_by_its_root(
    base: type[BarostatError], names: list[str]
) -> None:
    for name in names:
        assert issubclass(getattr(errors, name), base)
