"""`barostat token`: who may ask the daemon over the network.

A daemon that runs is asked to change its tokens, so that the change is in its audit; where none
does, their file is changed, which only root can.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
from pydantic import BaseModel

from barostat.cli.config import config_option
from barostat.cli.console import StdoutConsole
from barostat.cli.documents import print_document
from barostat.cli.options import output_option
from barostat.cli.output import say
from barostat.cli.reach import socket_option
from barostat.cli.tables import plain_table
from barostat.cli.times import DURATION, format_moment
from barostat.config.layers import load
from barostat.errors import NoDaemonError
from barostat.service.client import RemoteDesk, open_daemon
from barostat.service.documents import TokenList, TokenMade, TokenView
from barostat.service.tokens import Granted, TokenStore, view_of

__all__ = ["token_command"]

Model = TypeVar("Model", bound=BaseModel)


@click.group()
def token_command() -> None:
    """Make, list and revoke tokens for the API over the network."""


@token_command.command()
@click.option(
    "--role",
    type=click.Choice(["viewer", "operator", "admin"]),
    required=True,
    help="viewer sees, operator also changes settings, admin also makes tokens.",
)
@click.option("--name", help="What it is for. Default: its role and last four characters.")
@click.option(
    "--expires", "lasts_s", type=DURATION, help='When, as in "30d". Default: when it is revoked.'
)
@socket_option
@config_option
@output_option
def create(
    *,
    role: Granted,
    name: str | None,
    lasts_s: float | None,
    socket: Path,
    file: Path | None,
    output: str,
) -> None:
    """Make a token. It is shown once, and kept nowhere."""

    def in_file(store: TokenStore) -> TokenMade:
        secret, token = store.create(role=role, name=name, lasts_s=lasts_s)
        return TokenMade(token=secret, made=view_of(token, store))

    made = _ask(
        lambda desk: desk.make_token(role=role, name=name, lasts_s=lasts_s), in_file, socket, file
    )
    if output == "json":
        print_document(made)
        return
    view = made.made
    ends = "" if view.expires_at_s is None else f" until {format_moment(view.expires_at_s)}"
    say(f"the token {view.name}, {view.role}{ends}; it is not shown again:")
    click.echo(made.token)


@token_command.command(name="list")
@socket_option
@config_option
@output_option
def list_tokens(*, socket: Path, file: Path | None, output: str) -> None:
    """List all tokens: their names and roles, not themselves."""

    def in_file(store: TokenStore) -> TokenList:
        return TokenList(tokens=tuple(view_of(token, store) for token in store.all()))

    found = _ask(RemoteDesk.tokens, in_file, socket, file)
    if output == "json":
        print_document(found)
        return
    table = plain_table()
    for title in ("Name", "Role", "Ends in", "Made", "Expires"):
        table.add_column(title, no_wrap=True)
    for token in found.tokens:
        table.add_row(*_cells(token), style="" if token.good else "dim")
    StdoutConsole().print(table)


def _cells(token: TokenView) -> tuple[str, ...]:
    expires = "never"
    if token.expires_at_s is not None:
        expires = format_moment(token.expires_at_s) + ("" if token.good else ", expired")
    made = format_moment(token.created_at_s)
    return token.name, token.role, f"...{token.last_four}", made, expires


@token_command.command()
@click.argument("name")
@socket_option
@config_option
@output_option
def revoke(name: str, *, socket: Path, file: Path | None, output: str) -> None:
    """Revoke a token: it opens nothing from now on."""

    def in_file(store: TokenStore) -> TokenView:
        return view_of(store.revoke(name), store)

    gone = _ask(lambda desk: desk.revoke_token(name), in_file, socket, file)
    if output == "json":
        print_document(gone)
    else:
        click.echo(f"revoked: {gone.name}, {gone.role}, ending in {gone.last_four}")


def _ask(
    remotely: Callable[[RemoteDesk], Awaitable[Model]],
    in_file: Callable[[TokenStore], Model],
    socket: Path,
    file: Path | None,
) -> Model:
    """Ask the daemon, or use the file where none runs."""

    async def ask() -> Model:
        async with open_daemon(socket) as desk:
            return await remotely(desk)

    try:
        return asyncio.run(ask())
    except NoDaemonError as error:
        store = TokenStore(load(file, environment=os.environ).config.service.tokens)
        done = in_file(store)
        say(f"{error.message}: the tokens in {store.path} were used")
        return done
