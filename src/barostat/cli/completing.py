"""What may come next on a command line that somebody types, for the shells' scripts.

Nothing slow is loaded: commands and options stand in `words.json`, written by tools/words.py, and
the names of VMs come from the daemon by one small question with a short deadline. Where no daemon
answers in time there are no names, no error and no delay.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

__all__ = ["Candidate", "candidates", "main", "vm_names"]

WORDS: Final = Path(__file__).with_name("words.json")

DEADLINE_S: Final = 0.25
"""A person waits for each key; a daemon that is busy for longer is not waited for."""

LARGEST_ANSWER_BYTES: Final = 16 * 2**20

QUESTION: Final = b"GET /v1/guests?everyone=true HTTP/1.0\r\nHost: barostat\r\n\r\n"


class Candidate(NamedTuple):
    """One word that may come next; `kind` is "plain", or "file" for the shell's own completion."""

    kind: str
    word: str
    about: str = ""


def main(shell: str) -> NoReturn:
    """Answer a shell as its script expects it: those of click, which `completion` prints."""
    before, begun = _typed(shell)
    for kind, word, about in candidates(json.loads(WORDS.read_text()), before, begun):
        match shell:
            case "zsh":
                print(kind, word.replace(":", "\\:") if about else word, about or "_", sep="\n")  # noqa: T201 - what the shell reads
            case "fish":
                print(f"{kind},{word}\t{about}" if about else f"{kind},{word}")  # noqa: T201
            case _:
                print(f"{kind},{word}")  # noqa: T201
    sys.exit(0)


def _typed(shell: str) -> tuple[list[str], str]:
    """Give the whole words after the command's own name, and the one that is begun."""
    words = _split(os.environ.get("COMP_WORDS", ""))
    if shell == "fish":
        begun = os.environ.get("COMP_CWORD", "")
        return words[1 : len(words) - (1 if begun and words[-1:] == [begun] else 0)], begun
    place = int(os.environ.get("COMP_CWORD", "0"))
    return words[1:place], words[place] if place < len(words) else ""


def _split(line: str) -> list[str]:
    """Take a line apart; a quote that is still open ends with the line."""
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    try:
        words.extend(lexer)
    except ValueError:
        words.append(lexer.token)
    return words


def candidates(tree: Mapping[str, Any], before: Sequence[str], begun: str) -> Iterator[Candidate]:
    """Say what may come next.

    Args:
        tree: every command's words.
        before: what was typed, whole words.
        begun: the word that is begun; "" for none.
    """
    found: Mapping[str, Any] = tree
    given: dict[str, str] = {}
    wants, arguments = "", 0
    for word in before:
        name, _, value = word.partition("=")
        if wants and word != "=":  # bash takes --socket=X for three words
            given[wants], wants = word, ""
        elif word.startswith("-"):
            takes = found["options"].get(name, {}).get("takes")
            wants = name if takes and not value else ""
            given[name] = value
        elif "commands" not in found:
            arguments += word != "="
        elif word in found["commands"]:
            found = found["commands"][word]
        else:
            return
    options = found["options"]
    if wants:
        yield from _values(options[wants]["takes"], begun.removeprefix("="), given, tree)
    elif begun.startswith("-"):
        yield from _fitting(options, begun)
    elif "commands" in found:
        yield from _fitting(found["commands"], begun)
    elif arguments < len(found["arguments"]):
        yield from _values(found["arguments"][arguments], begun, given, tree)


def _fitting(words: Mapping[str, Any], begun: str) -> Iterator[Candidate]:
    for word, found in words.items():
        if word.startswith(begun):
            yield Candidate("plain", word, found["help"])


def _values(
    takes: str | Sequence[str], begun: str, given: Mapping[str, str], tree: Mapping[str, Any]
) -> Iterator[Candidate]:
    if takes == "path":
        yield Candidate("file", begun)
    elif takes == "vm":
        yield from (
            Candidate("plain", name)
            for name in _names(given, tree)
            if name.startswith(begun) and name.isprintable()
        )
    elif not isinstance(takes, str):
        yield from (Candidate("plain", word) for word in takes if word.startswith(begun))


def _names(given: Mapping[str, str], tree: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the VMs that are meant: those of the daemon, where no others were named."""
    if given.keys() & {"--qmp", "--connect"} or os.environ.get("BAROSTAT_QMP"):
        return ()
    return vm_names(given.get("--socket") or os.environ.get("BAROSTAT_SOCKET") or tree["socket"])


def vm_names(path: str, *, deadline_s: float = DEADLINE_S) -> tuple[str, ...]:
    """Ask the daemon at a socket for the names of VMs; none where it does not answer in time."""
    try:
        document = json.loads(_answer(path, time.monotonic() + deadline_s))
        running = [guest["name"] for guest in document["guests"]]
        return tuple(sorted({*running, *(document["powered_off"] or ())}))
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _answer(path: str, until_s: float) -> bytes:
    """Give the body of the daemon's answer."""
    answer = bytearray()
    with socket.socket(socket.AF_UNIX) as caller:
        _limit(caller, until_s)
        caller.connect(path)
        caller.sendall(QUESTION)
        while len(answer) < LARGEST_ANSWER_BYTES:
            _limit(caller, until_s)
            read = caller.recv(2**16)
            if not read:
                break
            answer += read
    return bytes(answer).partition(b"\r\n\r\n")[2]


def _limit(caller: socket.socket, until_s: float) -> None:
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    caller.settimeout(left_s)
