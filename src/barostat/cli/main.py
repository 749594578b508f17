"""The command `barostat`: finds a subcommand's module only when it is called, so help is quick.

This is the boundary where errors become words and exit codes, and the only one.
"""

from __future__ import annotations

import importlib
import sys
from typing import Final, NoReturn

import click

from barostat import __version__
from barostat.cli.output import fail
from barostat.errors import BarostatError, HypervisorError, InputError

__all__ = ["EXIT_BAD", "EXIT_INPUT", "EXIT_INTERRUPTED", "EXIT_UNREACHABLE", "cli", "main"]

EXIT_BAD: Final = 1  # it ran, and what it found or did is not well
EXIT_INPUT: Final = 2  # what was given cannot be used; nothing was changed
EXIT_UNREACHABLE: Final = 3  # a guest, a hypervisor or the lab did not do its part
EXIT_INTERRUPTED: Final = 130  # Ctrl-C, as shells have it

_COMMANDS: Final = {
    "demo": ("barostat.cli.demo", "Boot three guests and watch memory move between them."),
    "explain": ("barostat.cli.look", "Say in sentences why a VM has the memory it has."),
    "lab": ("barostat.cli.lab", "Boot real guests to play, test and measure with."),
    "list": ("barostat.cli.look", "Show every VM: assigned, demand, status, and why."),
    "plan": ("barostat.cli.look", "Say what would be done now, and why. Moves nothing."),
}

_EPILOG: Final = """\b
Exit codes: 0 well; 1 it ran, and what it found is not well; 2 what was given cannot be used
(nothing was changed); 3 a guest, a hypervisor or the lab did not do its part; 130 Ctrl-C.
"""


class _Lazy(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        found = _COMMANDS.get(cmd_name)
        if found is None:
            return None
        command = getattr(importlib.import_module(found[0]), f"{cmd_name}_command")
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        rows = [(name, text) for name, (_, text) in sorted(_COMMANDS.items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(
    cls=_Lazy,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="barostat")
def cli() -> None:
    """Barostat: Dynamic Memory for KVM.

    Holds memory pressure equal across the virtual machines of a host.
    """


def main() -> NoReturn:
    """Run the command line; every error that is ours ends here, in words."""
    try:
        result = cli.main(prog_name="barostat", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_INPUT)
    except InputError as error:
        fail(error)
        sys.exit(EXIT_INPUT)
    except HypervisorError as error:
        fail(error)
        sys.exit(EXIT_UNREACHABLE)
    except BarostatError as error:
        fail(error)
        sys.exit(EXIT_UNREACHABLE)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(EXIT_BAD)
    sys.exit(result if isinstance(result, int) else 0)
