"""A guest whose QEMU is played by the test: the answers that real ones give only now and then."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from barostat.core.observation import GuestObservation, RunState
from barostat.errors import DeadlineError, GuestGoneError, RefusedError, UnreachableError
from barostat.hypervisors import qmp_link, qmp_socket
from barostat.hypervisors.base import BalloonWish, PlugWish
from barostat.hypervisors.qmp import QmpHypervisor
from barostat.units import MIB

ANON = "/machine/peripheral-anon"
NONSENSE = 2**64 - 1


class NoError(Exception):
    """What the played QEMU refuses with."""


@dataclass
class PlayedQemu:
    """A QEMU with 512 MiB, a balloon and one virtio-mem device, all of which a test may change."""

    path: Path
    balloon: str = "/machine/peripheral/balloon0"
    actual: int = 512 * MIB
    status: str = "running"
    migration: dict[str, Any] = field(default_factory=dict)
    devices: list[dict[str, Any]] = field(default_factory=list)
    speaks: bool = True
    words: dict[str, int] = field(
        default_factory=lambda: {
            "stat-total-memory": 480 * MIB,
            "stat-available-memory": 300 * MIB,
            "stat-minor-faults": 0,
        }
    )
    last_update: int = 0
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    ignores: set[str] = field(default_factory=set)
    writer: asyncio.StreamWriter | None = None

    def add_plug(self, name: str | None, size: int = 0, *, memaddr: int = 2**32) -> None:
        data = {"memaddr": memaddr, "size": size, "requested-size": size, "node": 0}
        data |= {"max-size": 1024 * MIB, "block-size": 2 * MIB}
        self.devices.append(
            {"type": "virtio-mem", "data": data if name is None else data | {"id": name}}
        )

    def answer(self, command: str, arguments: dict[str, Any]) -> Any:
        self.asked.append((command, arguments))
        if command in self.refuses:
            raise NoError
        answers: dict[str, Callable[[], Any]] = {
            "query-memory-size-summary": lambda: {"base-memory": 512 * MIB, "plugged-memory": 0},
            "query-balloon": lambda: {"actual": self.actual},
            "query-memory-devices": lambda: self.devices,
            "query-status": lambda: {"status": self.status, "running": self.status == "running"},
            "query-migrate": lambda: self.migration,
            "qom-list": lambda: self._list(arguments["path"]),
            "qom-get": lambda: self._get(**arguments),
            "qom-set": lambda: self._set(**arguments),
        }
        return answers.get(command, dict)()

    def _get(self, path: str, property: str) -> Any:  # noqa: A002 - QEMU's own name
        addresses = {f"{ANON}/device[1]": 2**32, f"{ANON}/device[2]": 2**33}
        return {
            "guest-stats": {"stats": self.words, "last-update": self.last_update},
            "memaddr": addresses.get(path),
            "deflate-on-oom": True,
        }[property]

    def _set(self, path: str, property: str, value: int) -> Any:  # noqa: A002 - QEMU's own name
        if property == "guest-stats-polling-interval" and value and self.speaks:
            faults = self.words["stat-minor-faults"] + 1
            self.words = self.words | {"stat-minor-faults": faults}
            self.last_update = int(time.time())
        return {}

    def _list(self, folder: str) -> list[dict[str, str]]:
        found = [{"name": "type", "type": "string"}]
        if self.balloon.startswith(f"{folder}/"):
            name = self.balloon.rpartition("/")[2]
            found.append({"name": name, "type": "child<virtio-balloon-pci>"})
        if folder == ANON:
            found += [
                {"name": f"device[{n}]", "type": "child<virtio-mem-pci>"}
                for n, device in enumerate(self.devices, start=1)
                if "id" not in device["data"]
            ]
        return found

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.say({"QMP": {"version": {}, "capabilities": ["oob"]}})
        decoder = json.JSONDecoder()
        while text := (await reader.read(2**16)).decode():
            while text:
                command, end = decoder.raw_decode(text)
                text = text[end:].lstrip()
                self.reply(command)
        writer.close()

    def reply(self, command: dict[str, Any]) -> None:
        if command["execute"] in self.ignores:
            return
        try:
            answer = {"return": self.answer(command["execute"], command.get("arguments", {}))}
        except NoError:
            answer = {"error": {"class": "GenericError", "desc": "not now"}}
        self.say({"id": command["id"]} | answer if "id" in command else answer)

    def say(self, message: dict[str, Any]) -> None:
        assert self.writer is not None
        self.writer.write(json.dumps(message).encode() + b"\r\n")

    def event(self, name: str, data: Any = None) -> None:
        self.say({"event": name} | ({} if data is None else {"data": data}))


@dataclass
class Stage:
    hypervisor: QmpHypervisor
    qemu: PlayedQemu

    async def look(self) -> GuestObservation:
        [seen] = await self.hypervisor.observe(now_s=time.monotonic())
        return seen

    async def heard(self, fits: Callable[[GuestObservation], bool]) -> GuestObservation:
        """Look until what was said to the hypervisor has come through."""
        for _ in range(20):
            seen = await self.look()
            if fits(seen):
                return seen
        raise AssertionError


@asynccontextmanager
async def playing(path: Path, **changes: Any) -> AsyncIterator[Stage]:
    qemu = PlayedQemu(path, **changes)
    server = await asyncio.start_unix_server(qemu.serve, str(path))
    hypervisor = QmpHypervisor(sockets={"web": path})
    try:
        yield Stage(hypervisor, qemu)
    finally:
        await hypervisor.close()
        server.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "web.sock"


async def test_devices_without_ids_are_found_by_their_places(path: Path) -> None:
    async with playing(path, balloon=f"{ANON}/device[0]") as stage:
        stage.qemu.add_plug(None, 64 * MIB, memaddr=2**32)
        stage.qemu.add_plug(None, 32 * MIB, memaddr=2**33)
        seen = await stage.look()
        wish = PlugWish(device=f"{ANON}/device[2]", requested_bytes=0)
        await stage.hypervisor.request("web", wish)

    assert seen.statistics is not None
    assert [(plug.name, plug.size_bytes) for plug in seen.devices.plugs] == [
        (f"{ANON}/device[1]", 64 * MIB),
        (f"{ANON}/device[2]", 32 * MIB),
    ]
    _, sent = stage.qemu.asked[-1]
    assert sent == {"path": f"{ANON}/device[2]", "property": "requested-size", "value": 0}


async def test_a_nameless_device_that_came_later_is_counted(path: Path) -> None:
    async with playing(path) as stage:
        await stage.look()
        stage.qemu.add_plug(None, 64 * MIB, memaddr=2**34)
        seen = await stage.look()

    assert seen.devices.plugged_bytes == 64 * MIB


async def test_dimms_count_as_base_ram_and_other_devices_do_not(path: Path) -> None:
    async with playing(path) as stage:
        stage.qemu.devices += [
            {"type": "dimm", "data": {"id": "dimm0", "size": 256 * MIB, "hotplugged": True}},
            {"type": "nvdimm", "data": {"size": 64 * MIB}},
        ]
        stage.qemu.actual = 768 * MIB
        seen = await stage.look()

    assert (seen.devices.boot_bytes, seen.devices.balloon_bytes) == (768 * MIB, 0)
    assert seen.devices.plugs == ()


@pytest.mark.parametrize(
    ("written", "taken"), [(NONSENSE, 512 * MIB), (-4096, 0), (300 * MIB, 300 * MIB)]
)
async def test_what_a_guest_wrote_as_its_size_is_clamped_to_its_ram(
    path: Path, written: int, taken: int
) -> None:
    async with playing(path, actual=written) as stage:
        seen = await stage.look()

    assert seen.devices.balloon_actual_bytes == taken


async def test_a_guest_without_a_balloon_runs_and_says_nothing(path: Path) -> None:
    async with playing(path, balloon="", refuses={"query-balloon"}) as stage:
        seen = await stage.look()
        with pytest.raises(RefusedError, match="no balloon"):
            await stage.hypervisor.request("web", BalloonWish(target_bytes=MIB))

    assert (seen.run_state, seen.statistics) == (RunState.RUNNING, None)
    assert not seen.devices.has_balloon
    assert seen.devices.assigned_bytes == 512 * MIB


async def test_a_guest_whose_driver_never_spoke_is_booting_and_holds_all_its_ram(
    path: Path,
) -> None:
    async with playing(path, speaks=False, actual=100 * MIB) as stage:
        booting = await stage.look()
        stage.qemu.speaks = True
        running = await stage.look()

    assert (booting.run_state, booting.statistics) == (RunState.BOOTING, None)
    assert booting.devices.balloon_actual_bytes == 512 * MIB
    assert running.run_state is RunState.RUNNING
    assert running.devices.balloon_actual_bytes == 100 * MIB


async def test_nonsense_is_no_statistics(path: Path) -> None:
    async with playing(path) as stage:
        stage.qemu.words["stat-available-memory"] = NONSENSE
        nothing = await stage.look()
        stage.qemu.words["stat-available-memory"] = 100 * MIB
        something = await stage.look()

    assert (nothing.run_state, nothing.statistics) == (RunState.RUNNING, None)
    assert something.statistics is not None
    assert something.statistics.available_bytes == 100 * MIB


async def test_a_driver_that_fell_silent_leaves_statistics_that_grow_old(path: Path) -> None:
    async with playing(path) as stage:
        fresh = await stage.look()
        stage.qemu.speaks = False
        stage.qemu.last_update -= 60
        later = await stage.look()
        latest = await stage.look()

    assert fresh.statistics == later.statistics == latest.statistics
    assert fresh.statistics_at_s <= later.statistics_at_s == latest.statistics_at_s
    assert latest.statistics_at_s < latest.seen_at_s - 0.02


async def test_a_migrating_guest_is_seen_as_such_and_its_end_disturbs(path: Path) -> None:
    async with playing(path) as stage:
        before = await stage.look()
        stage.qemu.migration = {"status": "setup"}
        stage.qemu.event("MIGRATION", stage.qemu.migration)
        await stage.heard(lambda seen: seen.run_state is RunState.MIGRATING)
        stage.qemu.migration = {"status": "completed"}
        stage.qemu.event("MIGRATION", stage.qemu.migration)
        after = await stage.heard(lambda seen: seen.run_state is RunState.RUNNING)

    assert after.disturbed_at_s > before.disturbed_at_s


@pytest.mark.parametrize(
    ("status", "migration", "state"),
    [
        ("running", {"status": "active"}, RunState.MIGRATING),
        ("running", {"status": "completed"}, RunState.RUNNING),
        ("inmigrate", {}, RunState.MIGRATING),
        ("save-vm", {}, RunState.MIGRATING),
        ("prelaunch", {}, RunState.PAUSED),
        ("io-error", {}, RunState.PAUSED),
        ("guest-panicked", {}, RunState.PAUSED),
    ],
)
async def test_what_a_guest_was_doing_before_it_was_met_is_asked(
    path: Path, status: str, migration: dict[str, Any], state: RunState
) -> None:
    async with playing(path, status=status, migration=migration) as stage:
        seen = await stage.look()

    assert seen.run_state is state


async def test_a_guest_that_changes_its_state_without_an_event_is_seen_to(path: Path) -> None:
    async with playing(path, status="inmigrate") as stage:
        arriving = await stage.look()
        stage.qemu.status = "paused"
        restored = await stage.look()
        stage.qemu.status = "running"
        running = await stage.look()

    assert [arriving.run_state, restored.run_state, running.run_state] == [
        RunState.MIGRATING,
        RunState.PAUSED,
        RunState.RUNNING,
    ]
    assert running.disturbed_at_s > arriving.disturbed_at_s


async def test_one_that_will_not_tell_of_migrations_is_a_guest_all_the_same(path: Path) -> None:
    async with playing(path, refuses={"migrate-set-capabilities"}) as stage:
        assert (await stage.look()).run_state is RunState.RUNNING


async def test_events_of_any_shape_break_nothing_and_are_not_kept(path: Path) -> None:
    async with playing(path) as stage:
        await stage.look()
        for name in ("STOP", "RESUME", "RESET", "MIGRATION", "BALLOON_CHANGE", "WHAT"):
            for data in (None, 7, "text", [1], {"status": 7}, {"actual": "x"}):
                stage.qemu.event(name, data)
        for _ in range(1000):
            stage.qemu.event("MEMORY_DEVICE_SIZE_CHANGE", {"size": 1})
        seen = await stage.look()
        guest = stage.hypervisor._guest("web")
        kept = guest.link._client.events

    assert seen.run_state is RunState.RUNNING
    assert (kept.history, kept.empty()) == ((), True)


async def test_a_late_answer_ends_the_silence(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with playing(path) as stage:
        await stage.look()
        monkeypatch.setattr(qmp_link, "COMMAND_DEADLINE_S", 0.1)
        stage.qemu.ignores = {"query-balloon"}
        with pytest.raises(DeadlineError) as late:
            await stage.hypervisor.devices("web")
        with pytest.raises(UnreachableError, match="has not answered"):
            await stage.hypervisor.devices("web")
        hung = await stage.look()
        stage.qemu.ignores = set()
        stage.qemu.say({"id": "__qmp#00099", "return": {"actual": 1}})
        back = await stage.heard(lambda seen: seen.run_state is RunState.RUNNING)

    assert late.value.hint
    assert hung.run_state is RunState.UNREACHABLE
    assert back.seen_at_s > hung.seen_at_s


async def test_an_answer_that_comes_as_patience_ends_is_no_silence(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with playing(path):
        link = await qmp_link.QmpLink.open("web", path, hear=lambda _, __: None, lost=lambda: None)
        asking = asyncio.create_task(link.ask("query-balloon", dict[str, int]))
        arrive = link._client._cb_inbound

        def arrive_too_late(message: Any) -> Any:
            asking.cancel()
            return arrive(message)

        monkeypatch.setattr(link._client, "_cb_inbound", arrive_too_late)
        with pytest.raises(asyncio.CancelledError):
            await asking
        monkeypatch.undo()

        assert link.silent_s == 0
        assert await link.ask("query-balloon", dict[str, int]) == {"actual": 512 * MIB}
        await link.close()


async def test_one_silent_for_too_long_is_connected_to_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with playing(path) as stage:
        await stage.look()
        await stage.hypervisor.request("web", BalloonWish(target_bytes=512 * MIB))
        known = await stage.look()
        monkeypatch.setattr(qmp_link, "COMMAND_DEADLINE_S", 0.1)
        monkeypatch.setattr(qmp_socket, "QUARANTINE_S", 0.0)
        stage.qemu.ignores = {"query-balloon"}
        with pytest.raises(DeadlineError):
            await stage.hypervisor.devices("web")
        stage.qemu.ignores = set()
        anew = await stage.heard(lambda seen: seen.run_state is RunState.RUNNING)

    assert known.devices.balloon_target_bytes == 512 * MIB
    assert anew.devices.balloon_target_bytes is None  # somebody else may have asked meanwhile
    assert anew.disturbed_at_s > known.disturbed_at_s


async def test_a_wish_without_an_answer_leaves_the_target_unknown(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with playing(path) as stage:
        await stage.look()
        await stage.hypervisor.request("web", BalloonWish(target_bytes=400 * MIB))
        known = await stage.look()
        monkeypatch.setattr(qmp_link, "COMMAND_DEADLINE_S", 0.1)
        stage.qemu.ignores = {"balloon"}
        with pytest.raises(DeadlineError):
            await stage.hypervisor.request("web", BalloonWish(target_bytes=300 * MIB))
        stage.qemu.say({"id": "late", "return": {}})
        unknown = await stage.heard(lambda seen: seen.run_state is RunState.RUNNING)

    assert known.devices.balloon_target_bytes == 400 * MIB
    assert unknown.devices.balloon_target_bytes is None


async def test_a_wish_that_qemu_refuses_is_an_error_and_leaves_the_target(path: Path) -> None:
    async with playing(path) as stage:
        await stage.look()
        await stage.hypervisor.request("web", BalloonWish(target_bytes=400 * MIB))
        stage.qemu.refuses = {"balloon"}
        with pytest.raises(RefusedError, match="not now"):
            await stage.hypervisor.request("web", BalloonWish(target_bytes=300 * MIB))
        seen = await stage.look()

    assert seen.devices.balloon_target_bytes == 400 * MIB


async def test_a_guest_that_ends_while_it_is_spoken_to_is_gone(path: Path) -> None:
    async with playing(path, ignores={"balloon"}) as stage:
        await stage.look()
        asking = asyncio.create_task(
            stage.hypervisor.request("web", BalloonWish(target_bytes=300 * MIB))
        )
        waiting = asyncio.create_task(stage.hypervisor.changed("web", timeout_s=5))
        await asyncio.sleep(0.01)
        assert stage.qemu.writer is not None
        stage.qemu.writer.close()
        with pytest.raises(GuestGoneError):
            await asking
        assert await waiting


async def test_one_that_comes_back_on_the_same_socket_is_another_guest(path: Path) -> None:
    async with playing(path) as stage:
        await stage.look()
        await stage.hypervisor.request("web", BalloonWish(target_bytes=400 * MIB))
        first = await stage.look()
        assert stage.qemu.writer is not None
        stage.qemu.writer.close()
        second = await stage.heard(lambda seen: seen.disturbed_at_s > first.disturbed_at_s)

    assert second.run_state is RunState.RUNNING
    assert second.devices.balloon_target_bytes is None


async def test_one_started_where_another_left_its_socket_is_seen_at_once(tmp_path: Path) -> None:
    path = tmp_path / "web.qmp"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    hypervisor = QmpHypervisor(directory=tmp_path)
    for _ in range(3):  # fails, and waits ever longer before it tries again
        assert list(await hypervisor.observe(now_s=0.0)) == []
    qemu = PlayedQemu(path)
    async with await asyncio.start_unix_server(qemu.serve, str(path)):
        [seen] = await hypervisor.observe(now_s=0.0)
        await hypervisor.close()

    assert seen.name == "web"


async def test_a_guest_whose_socket_was_unlinked_is_kept_until_it_ends(tmp_path: Path) -> None:
    folder = tmp_path / "sockets"
    folder.mkdir()
    path = folder / "web.qmp"
    async with playing(path) as stage:
        await stage.hypervisor.close()
        hypervisor = QmpHypervisor(directory=folder)
        [before] = await hypervisor.observe(now_s=0.0)
        path.unlink()
        folder.rmdir()
        [kept] = await hypervisor.observe(now_s=1.0)
        assert stage.qemu.writer is not None
        stage.qemu.writer.close()
        await hypervisor.changed("web", timeout_s=5)
        gone = await hypervisor.observe(now_s=2.0)
        await hypervisor.close()

    assert (before.run_state, kept.run_state) == (RunState.RUNNING, RunState.RUNNING)
    assert list(gone) == []
