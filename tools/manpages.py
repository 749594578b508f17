"""Write docs/man from the commands themselves: one page a command, in the man macros.

`python tools/manpages.py` writes the pages; a test compares them with what it would write, and has
groff read them. The date is left out, so that the same program makes the same pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from barostat import __version__
from barostat.cli.ending import EXIT_CODES
from barostat.cli.main import cli

FOLDER = Path(__file__).parent.parent / "docs" / "man"
NOTE = r".\" Written by tools/manpages.py: change the program, then run `make docs`."

FILES = {
    "/etc/barostat/barostat.toml": "The daemon's configuration; files in conf.d beside it go "
    "over it.",
    "/run/barostat/barostat.sock": "Where the daemon listens, and commands ask it.",
}


def pages() -> dict[str, str]:
    """Make every page, by its file's name."""
    found = dict(_walk(cli, "barostat", None))
    return {f"{name.replace(' ', '-')}.1": "\n".join(_page(name, *found[name])) for name in found}


def _walk(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[tuple[str, tuple[click.Command, click.Context]]]:
    context = click.Context(
        command,
        info_name=name.rsplit(maxsplit=1)[-1],
        parent=parent,
        help_option_names=cli.context_settings["help_option_names"],
    )
    yield name, (command, context)
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                yield from _walk(found, f"{name} {inner}", context)


def _page(name: str, command: click.Command, context: click.Context) -> Iterator[str]:
    first, *rest = _paragraphs(command.help or "")
    dashed = name.replace(" ", "-")
    yield NOTE
    yield f'.TH "{_literal(dashed.upper())}" 1 "" "Barostat {__version__}" "Barostat"'
    yield from (".nh", ".ad l")  # words and their ends stay where they can be searched for
    yield ".SH NAME"
    yield rf"{_literal(dashed)} \- {_prose(first.removesuffix('.').removeprefix('Barostat: '))}"
    yield ".SH SYNOPSIS"
    yield rf"\fB{_literal(name)}\fR {_usage(command, context)}"
    yield ".SH DESCRIPTION"
    for number, paragraph in enumerate([first, *rest]):
        yield from ([".PP"] if number else [])
        yield _prose(paragraph)
    yield from _commands(name, command, context)
    yield from _options(command, context)
    yield from _environment(command)
    yield from _ending(name, context)
    yield ""


def _usage(command: click.Command, context: click.Context) -> str:
    return " ".join(rf"\fI{_literal(part)}\fR" for part in command.collect_usage_pieces(context))


def _commands(name: str, command: click.Command, context: click.Context) -> Iterator[str]:
    if not isinstance(command, click.Group):
        return
    yield ".SH COMMANDS"
    for inner in command.list_commands(context):
        found = command.get_command(context, inner)
        if found is not None:
            yield ".TP"
            yield rf"\fB{_literal(f'{name}-{inner}'.replace(' ', '-'))}\fR(1)"
            yield _prose(_paragraphs(found.help or "")[0])


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    yield ".SH OPTIONS"
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if isinstance(option, click.Option) and record is not None:
            words, about = record
            yield ".TP"
            yield re.sub(r"(?<!\S)(\\-\S+?)(?=,|\s|$)", r"\\fB\1\\fR", _literal(words))
            yield _prose(about)


def _environment(command: click.Command) -> Iterator[str]:
    named = [item for item in command.params if isinstance(item.envvar, str)]
    if not named:
        return
    yield ".SH ENVIRONMENT"
    for item in named:
        yield ".TP"
        yield rf"\fB{_literal(str(item.envvar))}\fR"
        yield rf"Stands for \fB{_literal(item.opts[0])}\fR where that is not given."


def _ending(name: str, context: click.Context) -> Iterator[str]:
    yield ".SH EXIT STATUS"
    for code, meaning in EXIT_CODES.items():
        yield ".TP"
        yield rf"\fB{_literal(code)}\fR"
        yield _prose(f"{meaning[0].upper()}{meaning[1:]}.")
    if context.parent is None:
        yield ".SH FILES"
        for path, about in FILES.items():
            yield ".TP"
            yield rf"\fI{_literal(path)}\fR"
            yield _prose(about)
        return
    yield ".SH SEE ALSO"
    yield rf"\fB{_literal(name.rpartition(' ')[0].replace(' ', '-'))}\fR(1)"


def _paragraphs(text: str) -> list[str]:
    cleaned = (" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
    return [paragraph for paragraph in cleaned if paragraph]


def _literal(text: str) -> str:
    """Write what is typed or read as it stands."""
    return text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")


def _prose(text: str) -> str:
    """Write a paragraph: code in bold, options with real minus signs, no line that is a request."""
    text = text.replace("\\", r"\e")
    text = re.sub(r"`([^`]+)`", lambda code: r"\fB" + code[1].replace("-", r"\-") + r"\fR", text)
    text = re.sub(r"(?<![\w\\])(--?)(?=\w)", lambda found: found[0].replace("-", r"\-"), text)
    return re.sub(r"^([.'])", r"\\&\1", text)


def main() -> None:
    """Write the pages, and remove those of commands that are gone."""
    made = pages()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.1"):
        if old.name not in made:
            old.unlink()
    for name, page in made.items():
        (FOLDER / name).write_text(page)
    print(f"written: docs/man, {len(made)} pages")


if __name__ == "__main__":
    main()
