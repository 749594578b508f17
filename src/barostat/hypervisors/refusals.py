"""Which wishes a guest's devices cannot take. Pure, and the same for every hypervisor.

Checked before anything is sent: QEMU clamps a balloon target above the base RAM and says nothing.
"""

from __future__ import annotations

from typing import assert_never

from barostat.core.observation import Devices, PlugDevice
from barostat.errors import RefusedError
from barostat.hypervisors.base import BalloonWish, PlugWish, Wish
from barostat.units import format_size

__all__ = ["check_wish"]


def check_wish(guest: str, devices: Devices, wish: Wish) -> None:
    """Refuse a wish that the guest's devices cannot take.

    Raises:
        RefusedError: with what would be accepted.
    """
    match wish:
        case BalloonWish(target_bytes=target_bytes):
            _check_balloon(guest, devices, target_bytes)
        case PlugWish(device=name, requested_bytes=requested_bytes):
            device = next((plug for plug in devices.plugs if plug.name == name), None)
            if device is None:
                raise RefusedError(
                    f'VM "{guest}" has no virtio-mem device "{name}"',
                    hint="its devices are: "
                    + (", ".join(plug.name for plug in devices.plugs) or "none"),
                )
            _check_plug(guest, device, requested_bytes)
        case _:
            assert_never(wish)


def _check_balloon(guest: str, devices: Devices, target_bytes: int) -> None:
    if not devices.has_balloon:
        raise RefusedError(
            f'VM "{guest}" has no balloon device',
            hint="add a virtio-balloon device to it, or move it by plug alone",
        )
    if not 0 < target_bytes <= devices.boot_bytes:
        raise RefusedError(
            f'VM "{guest}" cannot have {format_size(target_bytes)} of base RAM',
            hint=f"ask for more than 0 and at most {format_size(devices.boot_bytes)}",
        )


def _check_plug(guest: str, device: PlugDevice, requested_bytes: int) -> None:
    fits = 0 <= requested_bytes <= device.maximum_bytes
    if not fits or requested_bytes % device.block_bytes:
        raise RefusedError(
            f'VM "{guest}" cannot have {format_size(requested_bytes)} plugged in "{device.name}"',
            hint=f"ask for whole blocks of {format_size(device.block_bytes)}, "
            f"at most {format_size(device.maximum_bytes)}",
        )
