"""A guest as a domain of the lab's own libvirtd, made of the same parts as one of bare QEMU.

What libvirt adds by itself (root ports, an empty balloon period) is left as it is: a domain here
looks like an operator's. A guest that ends is gone: no domain starts again by itself.
"""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any, Final

from barostat.errors import LabError
from barostat.hypervisors.plugging import BLOCK_BYTES
from barostat.lab.command import COMMAND_LINE, CPU
from barostat.lab.guests import (
    AGENT_PORT,
    CONTROL_PORT,
    QGA_PORT,
    SHELL_PORT,
    Accelerator,
    GuestFiles,
    GuestSpec,
)
from barostat.lab.image import Image
from barostat.lab.libvirtd import PrivateLibvirtd
from barostat.lab.processes import ProcessIdentity, identify
from barostat.units import GIB, KIB

__all__ = ["Domain", "domain_xml"]

END_TIMEOUT_S: Final = 5.0

DOMAIN: Final = """\
<domain type="{kind}">
  <name>{name}</name>
{memory}
  <vcpu>1</vcpu>
  <os>
    <type arch="x86_64" machine="q35">hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>{command_line}</cmdline>
  </os>
  <features><acpi/><apic/></features>
{cpu}
  <clock offset="utc"/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>destroy</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
{disks}
    <controller type="usb" model="none"/>
    <serial type="file"><source path="{console}"/></serial>
{channels}
{plug}
    <memballoon model="virtio" autodeflate="on" freePageReporting="off">
      <stats period="1"/>
    </memballoon>
  </devices>
</domain>
"""

DISK: Final = """\
    <disk type="file" device="disk">
      <driver name="qemu" type="raw" cache="{cache}"/>
      <source file="{path}"/>
      <target dev="{target}" bus="virtio"/>
      {readonly}<serial>{serial}</serial>
    </disk>"""

CHANNEL: Final = """\
    <channel type="unix">
      <source mode="bind" path="{path}"/>
      <target type="virtio" name="{name}"/>
    </channel>"""

PLUG: Final = """\
    <memory model="virtio-mem">
      <target>
        <size unit="KiB">{region}</size>
        <node>0</node>
        <block unit="KiB">{block}</block>
        <requested unit="KiB">0</requested>
      </target>
    </memory>"""


def domain_xml(
    spec: GuestSpec, files: GuestFiles, *, image: Image, accelerator: Accelerator
) -> str:
    """Write the domain of a guest; its disks must be there when it starts."""
    disks = [_disk(files.data, "data", "vda", read_only=True)]
    if spec.swap_bytes:
        disks.append(_disk(files.swap, "swap", "vdb", read_only=False))
    if image.disk is not None:
        disks.append(_disk(image.disk, "userland", "vdc", read_only=True))
    plug = PLUG.format(region=spec.region_bytes // KIB, block=BLOCK_BYTES // KIB)
    return DOMAIN.format(
        kind="kvm" if accelerator is Accelerator.KVM else "qemu",
        name=spec.name,
        memory=_memory(spec),
        kernel=_text(image.kernel),
        initrd=_text(image.initrd),
        command_line=_text(" ".join(COMMAND_LINE)),
        cpu=_cpu(spec, accelerator),
        disks="\n".join(disks),
        console=_text(files.console),
        channels=_channels(files, userland=image.disk is not None),
        plug=plug if spec.region_bytes else "",
    )


def _channels(files: GuestFiles, *, userland: bool) -> str:
    """Write the virtio-serial ports."""
    ports = [(files.port, CONTROL_PORT), (files.agent, AGENT_PORT)]
    if userland:
        ports += [(files.qga, QGA_PORT), (files.shell, SHELL_PORT)]
    return "\n".join(CHANNEL.format(path=_text(path), name=name) for path, name in ports)


def _text(value: object) -> str:
    return html.escape(str(value))


def _memory(spec: GuestSpec) -> str:
    """Boot RAM; libvirt counts a virtio-mem region's whole size into `memory`.

    The slots are what libvirt before 9.5 takes for a region, the GiB is for its alignment.
    """
    boot = spec.boot_bytes // KIB
    if not spec.region_bytes:
        return f'  <memory unit="KiB">{boot}</memory>'
    region, most = spec.region_bytes // KIB, (spec.boot_bytes + spec.region_bytes + GIB) // KIB
    return (
        f'  <maxMemory slots="1" unit="KiB">{most}</maxMemory>\n'
        f'  <memory unit="KiB">{boot + region}</memory>\n'
        f'  <currentMemory unit="KiB">{boot}</currentMemory>'
    )


def _cpu(spec: GuestSpec, accelerator: Accelerator) -> str:
    """Name the processor as `guests.py` does; virtio-mem needs the guest to have a NUMA node."""
    without = '<feature policy="disable" name="pse"/>' if accelerator is Accelerator.TCG else ""
    cell = f'<cell id="0" cpus="0" memory="{spec.boot_bytes // KIB}" unit="KiB"/>'
    return (
        f'  <cpu mode="custom" match="exact" check="none"><model>{CPU}</model>{without}'
        f"<numa>{cell}</numa></cpu>"
    )


def _disk(path: Path, serial: str, target: str, *, read_only: bool) -> str:
    return DISK.format(
        cache="writeback" if read_only else "unsafe",
        path=_text(path),
        target=target,
        readonly="<readonly/>" if read_only else "",
        serial=serial,
    )


class Domain:
    """A domain of `libvirtd`, made of `xml`; a `Machine`.

    It is defined while it lives and undefined when it is stopped, so that its name is free again.
    """

    def __init__(self, xml: str, *, files: GuestFiles, libvirtd: PrivateLibvirtd) -> None:
        self._xml, self._files, self._libvirtd = xml, files, libvirtd
        self._name = files.name
        self._defined = False
        self._process: ProcessIdentity | None = None

    @property
    def pid(self) -> int | None:
        """QEMU's process id, None before the start."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Define and start the domain.

        Raises:
            LabError: libvirt cannot; the message is its own.
        """
        self._files.domain.write_text(self._xml)
        self._defined = True
        await self._libvirtd.virsh("define", str(self._files.domain))
        await self._libvirtd.virsh("start", self._name)
        self._files.log.symlink_to(self._libvirtd.qemu_log(self._name))
        pid = self._libvirtd.qemu_pid(self._name)
        self._process = None if pid is None else identify(pid)
        if self._process is None:
            raise LabError(
                f'domain "{self._name}" ended as soon as it had started',
                hint=f"what its QEMU said: {self._libvirtd.qemu_log(self._name)}",
            )

    def ended(self) -> str:
        """Say how it ended, in words; empty while it runs or was not started."""
        gone = self._process is not None and not self._process.runs()
        return "its domain is off" if gone else ""

    async def wait_ended(self, *, timeout_s: float) -> None:
        """Wait until it has ended; not longer."""
        if self._process is not None:
            await self._process.ended(timeout_s=timeout_s)

    async def stop(self) -> None:
        """Kill its QEMU, which has nothing to lose, and undefine it.

        Raises:
            LabError: it cannot be ended.
        """
        if self._process is not None:
            self._process.kill()
            if not await self._process.ended(timeout_s=END_TIMEOUT_S):
                raise LabError(
                    f'QEMU of domain "{self._name}" (process {self.pid}) cannot be ended',
                    hint="is its disk hung? `ps` shows its state",
                )
        if self._defined:
            for command in ("destroy", "undefine"):
                await self._try(command)
            self._defined = False

    async def _try(self, command: str) -> None:
        """Tell libvirt to forget it; it may have by itself, or not be there to be told."""
        try:
            await self._libvirtd.virsh(command, self._name)
        except LabError:
            return

    async def qmp(self, command: str, /, **arguments: Any) -> Any:
        """Run a QMP command through libvirt; "_" in argument names stands for "-".

        Raises:
            LabError: it does not answer or says no.
        """
        asked = {
            "execute": command,
            "arguments": {name.replace("_", "-"): value for name, value in arguments.items()},
        }
        words = ("qemu-monitor-command", self._name, json.dumps(asked))
        answer = json.loads(await self._libvirtd.virsh(*words))
        if "error" in answer:
            raise LabError(
                f'guest "{self._name}" refused "{command}": {answer["error"].get("desc")}',
                hint="the command or one of its arguments is not known to this QEMU",
            )
        return answer["return"]
