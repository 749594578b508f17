"""Real guests for tests: built once, booted where a test asks for them."""

from __future__ import annotations

import asyncio
import logging

import pytest

from barostat.lab.fleet import Kit, ensure_kit

# Without this pytest-asyncio asks asyncio for the main thread's loop before its first test, asyncio
# makes one, nobody closes it, and the warning fails whichever test the collector comes along in.
asyncio.set_event_loop(None)


@pytest.fixture(scope="session")
def kit() -> Kit:
    """All that guests need; fetched, built and probed once. Fails where it cannot be had."""
    return ensure_kit(progress=logging.getLogger("lab").info)


@pytest.fixture(scope="session")
def libvirt_kit() -> Kit:
    """The same, and what a libvirtd of the lab needs."""
    return ensure_kit(progress=logging.getLogger("lab").info, libvirt=True)


@pytest.fixture(scope="session")
def userland_kit() -> Kit:
    """The same as `kit`, and the image with a userland."""
    return ensure_kit(progress=logging.getLogger("lab").info, userland=True)
