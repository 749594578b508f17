"""Write every command's words into src/barostat/cli/words.json, for quick completion.

`python tools/words.py` writes them; a test compares them with what it would write.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from barostat.cli.main import cli
from barostat.config.sections import SOCKET

FILE = Path(__file__).parent.parent / "src" / "barostat" / "cli" / "words.json"


def words() -> str:
    """Say every command's words."""
    settings = {"help_option_names": cli.context_settings["help_option_names"]}
    tree = {"socket": str(SOCKET), **_words(cli, click.Context(cli, **settings))}
    return json.dumps(tree, indent=0, ensure_ascii=False) + "\n"


def _words(command: click.Command, context: click.Context) -> dict[str, Any]:
    found = command.get_params(context)
    node: dict[str, Any] = {
        "help": (command.help or "").partition("\n")[0],
        "options": {
            name: {"help": _first_sentence(item.help or ""), "takes": _takes(item)}
            for item in found
            if isinstance(item, click.Option)
            for name in item.opts
        },
    }
    if isinstance(command, click.Group):
        node["commands"] = {}
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                within = click.Context(inner, parent=context, info_name=name)
                node["commands"][name] = _words(inner, within)
    else:
        inside = context.parent is not None and context.parent.parent is not None
        node["arguments"] = [
            "vm" if item.name == "vm" and not inside else _takes(item)  # a lab has its own VMs
            for item in found
            if isinstance(item, click.Argument)
        ]
    return node


def _takes(item: click.Parameter) -> str | list[str]:
    """Say what a word's value is made of; nothing for a flag."""
    if isinstance(item, click.Option) and (item.is_flag or item.count):
        return ""
    if isinstance(item.type, click.Choice):
        return list(item.type.choices)
    return "path" if isinstance(item.type, click.Path) else "value"


def _first_sentence(text: str) -> str:
    return " ".join(text.split()).partition(". ")[0].removesuffix(".")


def main() -> None:
    """Write them."""
    FILE.write_text(words())
    print("written: src/barostat/cli/words.json")


if __name__ == "__main__":
    main()
