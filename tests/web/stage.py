"""A daemon's page over simulated VMs that move, on a port of this machine alone."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from barostat.config.settings_file import SettingsFolder
from barostat.core.policy import Policy
from barostat.engine.control import Control
from barostat.engine.loop import Balancer, Tick
from barostat.engine.observe import FixedCapacity
from barostat.history.history import History
from barostat.host.accounts import Accounts
from barostat.host.brake import Stage as BrakeStage
from barostat.host.host import HostReport
from barostat.host.memory import Memory
from barostat.hypervisors.simulated import Character, SimulatedHypervisor, SimulatedSpec
from barostat.service.account_routes import add_account_routes
from barostat.service.app import create_app
from barostat.service.desk import LocalDesk
from barostat.service.doorkeeper import Doorkeeper
from barostat.service.self_signed import make_self_signed
from barostat.service.server import ApiServer, Tcp
from barostat.service.stream import TickStream, add_stream_route
from barostat.service.tokens import Granted, TokenStore
from barostat.service.web import add_web_routes
from barostat.units import GIB, MIB

RESERVE_BYTES = GIB
OVERHEAD_BYTES = 40 * MIB


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A VM: what it uses at least and at most, and how fast that goes up and down."""

    name: str
    least_mib: int
    most_mib: int
    period_s: float = 60
    character: Character = Character.IDEAL
    boot_mib: int = 1024
    maximum_mib: int = 4096
    settings: str = 'minimum = "256MiB"\n'


CAST = (
    Actor(name="web-1", least_mib=300, most_mib=900, period_s=40),
    Actor(name="web-2", least_mib=350, most_mib=1500, period_s=55),
    Actor(name="db", least_mib=1900, most_mib=2300, period_s=90, boot_mib=2048),
    Actor(name="build-7", least_mib=150, most_mib=3400, period_s=70),
    Actor(name="mail", least_mib=500, most_mib=560),
    Actor(
        name="cache",
        least_mib=1400,
        most_mib=1500,
        boot_mib=1536,
        settings='minimum = "512MiB"\nmaximum = "1536MiB"\n',
    ),
    Actor(
        name="small",
        least_mib=1060,
        most_mib=1100,
        settings='minimum = "256MiB"\nmaximum = "1GiB"\n',
    ),
    Actor(name="idle", least_mib=60, most_mib=70),
    Actor(name="silent", least_mib=200, most_mib=200, character=Character.DEAF),
    Actor(name="legacy", least_mib=400, most_mib=400, settings=""),
)


class Stage:
    """The VMs, the balancer over them, and its page."""

    def __init__(
        self,
        folder: Path,
        cast: Sequence[Actor] = CAST,
        *,
        capacity_bytes: int,
        doorkeeper: Doorkeeper | None = None,
        moving: bool = True,
    ) -> None:
        self.folder = folder
        self.hypervisor = SimulatedHypervisor(time.monotonic)
        self._cast = cast
        for actor in cast:
            self._enter(actor)
        settings = SettingsFolder(folder)
        self.balancer = Balancer(
            self.hypervisor,
            settings,
            FixedCapacity(capacity_bytes),
            policy=Policy(settle_s=2.0),
            on_tick=self._on_tick,
            moving=moving,
        )
        self.control = Control(self.balancer, self.hypervisor, settings, moving=moving)
        self.stream = TickStream(self.control, report=lambda: _report(capacity_bytes))
        self.doorkeeper = doorkeeper or Doorkeeper(TokenStore(folder / "tokens.json"))
        self.history = History(folder / "history.sqlite")
        self.stop = asyncio.Event()
        self.port = 0

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.port}/"

    def _enter(self, actor: Actor) -> None:
        self.hypervisor.add(
            SimulatedSpec(
                name=actor.name, boot_bytes=actor.boot_mib * MIB,
                maximum_bytes=actor.maximum_mib * MIB, character=actor.character, boot_s=0,
            )
        )  # fmt: skip
        (self.folder / f"{actor.name}.qmp").touch()
        if actor.settings:
            (self.folder / f"{actor.name}.toml").write_text(actor.settings)

    def _on_tick(self, tick: Tick) -> None:
        self.control.on_tick(tick)
        self.stream.on_tick(tick)
        self.history.record(tick)
        self.play(tick.snapshot.now_s)

    def play(self, now_s: float) -> None:
        """Have every VM use what it uses at a time."""
        for place, actor in enumerate(self._cast):
            swing = (1 - math.cos(2 * math.pi * (now_s / actor.period_s + place / 7))) / 2
            used = actor.least_mib + (actor.most_mib - actor.least_mib) * swing
            self.hypervisor.guests[actor.name].use(int(used) * MIB)

    def token(self, role: Granted) -> str:
        """Make a token to log in with."""
        secret, _ = self.doorkeeper.tokens.create(role=role, name=None, lasts_s=None)
        return secret

    @asynccontextmanager
    async def serving(self, *, port: int = 0) -> AsyncIterator[Stage]:
        """Balance and serve until the body ends."""
        app = create_app(LocalDesk(self.control, self.history))
        add_account_routes(app, self.doorkeeper)
        add_stream_route(app, self.stream)
        add_web_routes(app)
        files = await asyncio.to_thread(make_self_signed, self.folder)
        tcp = Tcp(address="127.0.0.1", port=port, files=files)
        socket = self.folder / "run" / "api.sock"
        server = ApiServer(app, self.doorkeeper, socket=socket, group=None, tcp=tcp)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.history.run(self.stop))
            tasks.create_task(self.balancer.run(self.stop))
            tasks.create_task(server.run(self.stop))
            await server.ready.wait()
            self.port = server.port or 0
            try:
                yield self
            finally:
                self.stop.set()
                self.stream.close()


def _report(capacity_bytes: int) -> HostReport:
    accounts = Accounts(
        capacity_bytes=capacity_bytes, reserve_bytes=RESERVE_BYTES, overhead_bytes=OVERHEAD_BYTES,
        foreign_bytes=0, hugetlb_bytes=0,
    )  # fmt: skip
    memory = Memory(
        total_bytes=capacity_bytes + RESERVE_BYTES + OVERHEAD_BYTES, available_bytes=2 * GIB,
        hugetlb_bytes=0, swapped_out_bytes=0, stall_ratio=0.0,
    )  # fmt: skip
    return HostReport(
        seen_at_s=0.0, memory=memory, accounts=accounts, stage=BrakeStage.FREE,
        wanted_back_bytes=0, swap_out_bytes_per_s=0.0, outside_bytes=0, vms=0, foreign=(),
        unfit={}, alarms=(),
    )  # fmt: skip
