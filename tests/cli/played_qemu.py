"""A QEMU played by the test, in a thread of its own: commands are run as they are, loop and all."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from barostat.units import MIB

BOOT_MIB = 512
BALLOON = "/machine/peripheral/balloon0"


class PlayedQemu:
    """A VM with 512 MiB, a balloon, and a virtio-mem device of 1 GiB with nothing plugged."""

    def __init__(self, path: Path, *, available_mib: int) -> None:
        self._available_bytes = available_mib * MIB
        self.asked: list[str] = []
        qemu = self

        class Session(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                qemu.serve(self.request)

        self._server = socketserver.ThreadingUnixStreamServer(str(path), Session)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def serve(self, connection: Any) -> None:
        """Greet, and answer until the client leaves."""
        say(connection, {"QMP": {"version": {}, "capabilities": ["oob"]}})
        decoder = json.JSONDecoder()
        while text := connection.recv(2**16).decode():
            while text:
                command, end = decoder.raw_decode(text)
                text = text[end:].lstrip()
                self.asked.append(command["execute"])
                answer = {"return": self.answer(command["execute"], command.get("arguments", {}))}
                say(connection, answer | ({"id": command["id"]} if "id" in command else {}))

    def answer(self, command: str, arguments: dict[str, Any]) -> Any:
        """Answer as QEMU does."""
        plug = {"id": "vmem0", "memaddr": 2**32, "size": 0, "requested-size": 0, "node": 0}
        plug |= {"max-size": 1024 * MIB, "block-size": 2 * MIB}
        children = [{"name": "balloon0", "type": "child<virtio-balloon-pci>"}]
        answers: dict[str, Any] = {
            "query-memory-size-summary": {"base-memory": BOOT_MIB * MIB, "plugged-memory": 0},
            "query-balloon": {"actual": BOOT_MIB * MIB},
            "query-memory-devices": [{"type": "virtio-mem", "data": plug}],
            "query-status": {"status": "running", "running": True},
            "qom-list": children if arguments.get("path") == "/machine/peripheral" else [],
        }
        if command == "qom-get":
            return self._property(arguments["property"])
        return answers.get(command, {})

    def _property(self, name: str) -> Any:
        words = {
            "stat-total-memory": (BOOT_MIB - 32) * MIB,
            "stat-available-memory": self._available_bytes,
        }
        stats = {"stats": words, "last-update": int(time.time())}
        return {"guest-stats": stats, "deflate-on-oom": True}.get(name)


def say(connection: Any, message: dict[str, Any]) -> None:
    """Send one line."""
    connection.sendall(json.dumps(message).encode() + b"\r\n")
