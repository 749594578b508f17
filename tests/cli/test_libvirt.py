"""Commands that ask libvirt itself, here its test driver: settings stand in a domain's metadata."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Run, Shell, assert_refused

NODE = """
<node>
  <domain type="test">
    <name>web</name>
    <memory unit="MiB">1024</memory>
    <os><type>hvm</type></os>
    <metadata>
      <barostat:memory xmlns:barostat="urn:barostat:memory:1" {settings}/>
    </metadata>
  </domain>
  <domain type="test">
    <name>db</name>
    <memory unit="MiB">1024</memory>
    <os><type>hvm</type></os>
  </domain>
</node>
"""


def uri(folder: Path, settings: str) -> str:
    """A libvirt of the test's own, with two domains of which one has settings."""
    path = folder / "node.xml"
    path.write_text(NODE.format(settings=settings))
    return f"test://{path}"


@pytest.fixture
def libvirt(tmp_path: Path) -> str:
    """The connection to a libvirt with domains `web` and `db`."""
    pytest.importorskip("libvirt", reason="the extra barostat[libvirt] is not installed")
    return uri(tmp_path, 'minimum="256MiB" buffer="30"')


def test_domains_are_listed_and_shown_with_where_their_settings_stand(
    barostat: Shell, libvirt: str
) -> None:
    listed = barostat("list", "--connect", libvirt, "--output", "json").document
    shown = barostat("show", "web", "--connect", libvirt)

    assert [guest["name"] for guest in listed["guests"]] == ["db", "web"]
    assert 'settings: stand in metadata of domain "web" at test:///' in shown.out
    assert ["minimum", "256", "MiB", "256", "MiB"] in [
        line.split() for line in shown.out.splitlines()
    ]


def test_a_domain_is_changed_within_the_rules(barostat: Shell, libvirt: str) -> None:
    done = barostat("set", "web", "--minimum", "128MiB", "--weight", "9", "--connect", libvirt)
    raised = barostat("set", "web", "--minimum", "512MiB", "--connect", libvirt)
    large = barostat("set", "web", "--maximum", "2GiB", "--connect", libvirt)

    assert ["weight", "5000", "9"] in [line.split() for line in done.out.splitlines()]
    assert_refused(raised, "minimum can only be lowered while the VM runs: it is 256 MiB")
    assert_refused(large, "this VM's devices allow at most 1024 MiB")


def test_broken_metadata_holds_its_vm_and_is_told_everywhere(
    barostat: Shell, libvirt: str, tmp_path: Path
) -> None:
    broken = uri(tmp_path, 'minmum="256MiB" buffer="lots"')

    listed = barostat("list", "--connect", broken)
    shown = barostat("show", "web", "--connect", broken)

    assert (listed.code, shown.code) == (0, 0)
    assert 'did you mean "minimum"?' in listed.out
    assert shown.out.count("FAULT: ") == 2
    changed = barostat("set", "web", "--weight", "1", "--connect", broken)
    assert_refused(changed, 'did you mean "minimum"?', "virsh metadata")


def test_a_name_that_no_domain_has_is_answered_with_the_nearest(
    barostat: Shell, libvirt: str
) -> None:
    for words in ("show", "explain", "pause"):
        assert_refused(barostat(words, "wbe", "--connect", libvirt), 'did you mean "web"?')


def test_a_libvirt_that_is_not_there_is_told(barostat: Shell, libvirt: str, tmp_path: Path) -> None:
    absent = f"qemu:///system?socket={tmp_path / 'absent'}"

    for words in ("list", "plan", "show web", "set web --weight 1"):
        assert_refused(
            barostat(*words.split(), "--connect", absent), "cannot be connected to", code=3
        )


def test_without_the_binding_it_is_said_how_to_have_it() -> None:
    program = (
        "import sys\n"
        "sys.modules['libvirt'] = None\n"
        "sys.argv = ['barostat', 'list', '--connect', 'qemu:///system']\n"
        "from barostat.cli.main import main\n"
        "main()"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert_refused(Run(done.returncode, done.stdout, done.stderr), "barostat[libvirt]")
