"""The command `barostat`: finds a subcommand's module only when it is called, so help is quick.

This is the boundary where errors become words and exit codes, and the only one.
"""

from __future__ import annotations

import importlib
import sys
from typing import Final, NoReturn

import click

from barostat import __version__
from barostat.cli.ending import (
    EXIT_CODES,
    EXIT_INPUT,
    EXIT_PIPE,
    EXIT_UNREACHABLE,
    Ending,
    settle_stdout,
    signals_interrupt,
)
from barostat.cli.output import fail, misused
from barostat.errors import BarostatError, InputError

__all__ = ["cli", "main"]

_COMMANDS: Final = {
    "admit": ("barostat.cli.admit", "Ask whether a VM may start, and set its memory aside."),
    "completion": (
        "barostat.cli.completion",
        "Print the script that has a shell complete words and VMs' names.",
    ),
    "config": ("barostat.cli.config", "See and check the daemon's configuration."),
    "daemon": ("barostat.daemon.command", "Balance the memory of this host's VMs until stopped."),
    "demo": ("barostat.cli.demo", "Boot three guests and watch memory move between them."),
    "disable": (
        "barostat.cli.change",
        "Turn Dynamic Memory off for a VM; it keeps the size it has.",
    ),
    "doctor": ("barostat.cli.doctor", "Say what a host and its VMs lack, and what to do about it."),
    "enable": ("barostat.cli.change", "Turn Dynamic Memory on for a VM."),
    "explain": ("barostat.cli.look", "Say in sentences why a VM has the memory it has."),
    "forecast": (
        "barostat.cli.forecast",
        "Say how many VMs still fit, when the host is full, and whose sizes are wrong.",
    ),
    "history": ("barostat.cli.history", "Show what a VM had and needed, as a chart or numbers."),
    "lab": ("barostat.cli.lab", "Boot real guests to play, test and measure with."),
    "list": ("barostat.cli.look", "Show every VM: assigned, demand, status, and why."),
    "pause": ("barostat.cli.change", "Hold a VM, or every VM of the host, at the size it has."),
    "plan": ("barostat.cli.look", "Say what would be done now, and why. Moves nothing."),
    "prepare": (
        "barostat.cli.prepare",
        "Print the domain XML that a VM needs for Dynamic Memory, or define it.",
    ),
    "resume": ("barostat.cli.change", "Let a VM, or the host, be balanced again."),
    "set": ("barostat.cli.change", "Change a VM's settings: all of what is asked, or nothing."),
    "show": ("barostat.cli.look", "Show one VM: what it has and needs, its devices, its settings."),
    "token": ("barostat.cli.token", "Make, list and revoke tokens for the API over the network."),
    "top": (
        "barostat.cli.top",
        "Watch every VM as it is: sorted, with reasons, and keys to act.",
    ),
    "watch": (
        "barostat.cli.watch",
        "Wait until a VM has a status, and print a line for every change.",
    ),
}


class _Lazy(click.Group):
    """A group whose commands are imported when they are called.

    `commands` are stand-ins: what help lists, and what a mistyped name is compared with.
    """

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import a command."""
        if cmd_name not in self.commands:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        rows = [(name, self.commands[name].short_help or "") for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Say what the exit codes mean."""
        with formatter.section("Exit codes"):
            formatter.write_dl(list(EXIT_CODES.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; whoever read its output may have gone away."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:  # click would call that exit code 1
            raise click.exceptions.Exit(EXIT_PIPE) from error


_STAND_INS: Final = {
    name: click.Command(name, short_help=text) for name, (_, text) in _COMMANDS.items()
}


@click.group(
    cls=_Lazy,
    commands=_STAND_INS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="barostat")
def cli() -> None:
    """Barostat: Dynamic Memory for KVM.

    Holds memory pressure equal across the virtual machines of a host.

    To see how: barostat demo
    """


def main() -> NoReturn:
    """Run the command line; every error that is ours ends here, in words."""
    with signals_interrupt() as ending:
        code = _run(ending)
    settle_stdout()
    sys.exit(code)


def _run(ending: Ending) -> int:
    try:
        result = cli.main(prog_name="barostat", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        return ending.exit_code
    except click.ClickException as error:
        misused(error)
        return EXIT_INPUT
    except BarostatError as error:
        fail(error)
        return EXIT_INPUT if isinstance(error, InputError) else EXIT_UNREACHABLE
    except OSError as error:
        fail(_machine_error(error))
        return EXIT_UNREACHABLE
    return result if isinstance(result, int) else 0


def _machine_error(error: OSError) -> BarostatError:
    """Put in words what the machine refused and nobody nearer to it expected."""
    what = error.strerror or str(error)
    place = "" if error.filename is None else f"{error.filename}: "
    return BarostatError(
        f"{place}{what}", hint="check that path or disk, and what you may do there"
    )
