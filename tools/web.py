"""Fetch what the web page is made of: `npm ci`, then the few modules that it loads.

Third-party code is not in git. It goes to src/barostat/web/vendor, which the wheel ships. The
modules name each other by package, and a browser that may run no inline script cannot be told where
packages are: the names become relative paths. Needs a package registry and the standard library.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
MODULES: Final = ROOT / "node_modules"
VENDOR: Final = ROOT / "src" / "barostat" / "web" / "vendor"
LICENSES: Final = VENDOR / "LICENSES.txt"
"""Written last: it is there only where all the rest is."""

FETCH_DEADLINE_S: Final = 300

FILES: Final = {
    "preact": ("preact/dist/preact.mjs", "preact.js"),
    "preact/hooks": ("preact/hooks/dist/hooks.mjs", "preact-hooks.js"),
    "@preact/signals-core": ("@preact/signals-core/dist/signals-core.mjs", "signals-core.js"),
    "@preact/signals": ("@preact/signals/dist/signals.mjs", "signals.js"),
    "htm": ("htm/dist/htm.mjs", "htm.js"),
    "uplot": ("uplot/dist/uPlot.esm.js", "uplot.js"),
}
"""What a module is called: where its package has it, and its file here."""

STYLE: Final = ("uplot/dist/uPlot.min.css", "uplot.css")
LICENSED: Final = ("preact", "@preact/signals", "@preact/signals-core", "htm", "uplot")

_IMPORTED: Final = re.compile(r'(\bfrom\s*|\bimport\s*)"([^".\s][^"\s]*)"')
_MAP: Final = re.compile(r"^//# sourceMappingURL=.*$", re.MULTILINE)


def main() -> None:
    """Fetch, and copy."""
    _have_npm()
    print("web: fetching what package-lock.json names")
    command = ["npm", "ci", "--no-progress", "--loglevel=error"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=FETCH_DEADLINE_S)
    shutil.rmtree(VENDOR, ignore_errors=True)
    VENDOR.mkdir()
    for source, target in FILES.values():
        text = (MODULES / source).read_text(encoding="utf-8")
        (VENDOR / target).write_text(_relative(text, source), encoding="utf-8")
    shutil.copyfile(MODULES / STYLE[0], VENDOR / STYLE[1])
    LICENSES.write_text("\n\n".join(map(_license, LICENSED)), encoding="utf-8")


def _relative(text: str, source: str) -> str:
    """Make paths of the packages that a module imports, and drop the map that is not shipped."""

    def path(found: re.Match[str]) -> str:
        if found[2] not in FILES:
            sys.exit(f"web: {source} imports {found[2]}, which tools/web.py does not know")
        return f'{found[1]}"./{FILES[found[2]][1]}"'

    return _MAP.sub("", _IMPORTED.sub(path, text))


def _license(package: str) -> str:
    folder = MODULES / package
    return f"{package}\n{'=' * len(package)}\n\n{(folder / 'LICENSE').read_text('utf-8')}"


def _have_npm() -> None:
    """Install Debian's npm where it is missing and we may, or say how."""
    if shutil.which("npm"):
        return
    install = ["apt-get", "install", "-y", "--no-install-recommends", "npm"]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"web: npm is missing; as root: {' '.join(install)}")
    print("web: installing npm")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "DEBCONF_NOWARNINGS": "yes"}
    for command in (["apt-get", "update", "-qq"], [*install, "-qq"]):
        subprocess.run(
            command,
            check=True,
            env=environment,
            stdout=subprocess.DEVNULL,
            timeout=FETCH_DEADLINE_S,
        )


if __name__ == "__main__":
    main()
