"""`barostat daemon`: the service that balances a host's guests."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click
import structlog

from barostat import __version__
from barostat.cli.config import config_option
from barostat.config.layers import Loaded, load
from barostat.daemon.lock import only_daemon
from barostat.daemon.logs import LogOutput
from barostat.daemon.parts import group_of
from barostat.daemon.run import Daemon
from barostat.errors import BarostatError, first_fault

__all__ = ["daemon_command"]


@click.command()
@config_option
@click.option("--observe", is_flag=True, help="Decide and explain, and move nothing.")
def daemon_command(file: Path | None, *, observe: bool) -> None:
    """Balance the memory of this host's VMs until stopped.

    Guests keep what they have when it stops. SIGHUP has it read its configuration anew. Under
    systemd: systemctl enable --now barostat
    """
    loaded = load(file, environment=os.environ)
    service = loaded.config.service
    with only_daemon(service.socket, group=group_of(service)):
        output = LogOutput(loaded.config.log)
        try:
            asyncio.run(_run(loaded, file, output, observe=observe))
        except BaseExceptionGroup as error:
            raise _ending(error) from error
        finally:
            output.close()


async def _run(loaded: Loaded, file: Path | None, output: LogOutput, *, observe: bool) -> None:
    daemon = Daemon(loaded, file=file, environment=os.environ, observe=observe, output=output)
    doing = "observes: nothing is moved" if observe else "balances"
    read = ", ".join(str(path) for path in loaded.files) or "no configuration file"
    structlog.stdlib.get_logger("barostat.daemon").info(f"barostat {__version__} {doing} ({read})")
    await daemon.run()


def _ending(error: BaseExceptionGroup[BaseException]) -> BarostatError:
    """Say why the daemon ended by itself; a fault of our own goes into the log whole."""
    first = first_fault(error)
    if isinstance(first, BarostatError):
        return first
    structlog.stdlib.get_logger("barostat.daemon").critical("ended by a fault", exc_info=error)
    return BarostatError(
        f"the daemon ended by a fault of its own: {first!r}",
        hint="its log has the whole of it; guests keep what they have",
    )
