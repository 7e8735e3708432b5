"""Make what the portal vendors, in src/bascule/portal/static, out of three npm packages.

``python tools/portal_assets.py`` fetches the versions below into a temporary folder with npm,
writes htmx, the design tokens as CSS variables, one sprite of icons and their licences, and the
table of hashes in the folder's README.md. Nothing of it is needed to build or to run Bascule: the
files are committed, and a test holds them against the table.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

STATIC = Path(__file__).parents[1] / "src" / "bascule" / "portal" / "static"
VERSIONS = {
    "htmx.org": "4.0.1",
    "@fluentui/tokens": "1.0.0-alpha.24",
    "@fluentui/svg-icons": "1.1.343",
}
MARK = "<!-- from here on: python tools/portal_assets.py -->\n"

# LICENSE.fluentui-icons stands beside them by hand: that package carries no text of its own.
MADE = ("LICENSE.fluentui-tokens", "LICENSE.htmx", "htmx.min.js", "icons.svg", "tokens.css")

# The symbol's id, and the icon that it is; all of them 20 pixels wide.
ICONS = {
    "add": "add",
    "arrow-down": "arrow_down",
    "arrow-up": "arrow_up",
    "bell": "alert",
    "calendar": "calendar",
    "certificate": "certificate",
    "checkmark": "checkmark",
    "chevron-down": "chevron_down",
    "chevron-left": "chevron_left",
    "chevron-right": "chevron_right",
    "chevron-up": "chevron_up",
    "clock": "clock",
    "close": "dismiss",
    "connected": "plug_connected",
    "copy": "copy",
    "delete": "delete",
    "desktop": "desktop",
    "device": "laptop",
    "disconnected": "plug_disconnected",
    "download": "arrow_download",
    "edit": "edit",
    "error": "error_circle",
    "external": "open",
    "eye": "eye",
    "filter": "filter",
    "fingerprint": "fingerprint",
    "gateway": "router",
    "globe": "globe",
    "help": "question_circle",
    "history": "history",
    "home": "home",
    "info": "info",
    "key": "key",
    "language": "local_language",
    "link": "link",
    "linux": "window_console",
    "lock-closed": "lock_closed",
    "lock-open": "lock_open",
    "machine": "server",
    "moon": "weather_moon",
    "more": "more_horizontal",
    "navigation": "navigation",
    "people": "people",
    "person": "person",
    "phone": "phone",
    "policy": "shield_task",
    "refresh": "arrow_clockwise",
    "search": "search",
    "settings": "settings",
    "shield": "shield",
    "shield-off": "shield_dismiss",
    "sign-out": "sign_out",
    "sort": "arrow_sort",
    "stop": "dismiss_circle",
    "success": "checkmark_circle",
    "sun": "weather_sunny",
    "terminal": "window_console",
    "theme": "dark_theme",
    "warning": "warning",
    "windows": "window",
}
# Of Fluent's palettes, those with a meaning here and those that charts draw with.
_PALETTES = "Red|Green|DarkOrange|Yellow|Marigold|Berry|LightGreen|Blue|Purple|Teal"
_LEFT_OUT = re.compile(
    rf"shadow\d+Brand|colorPalette(?!({_PALETTES})(Background|Border|Foreground))"
)


def fetch(folder: Path) -> Path:
    """Install the packages into this folder, no script of theirs run."""
    wanted = [f"{name}@{version}" for name, version in VERSIONS.items()]
    npm = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run([*npm, "--prefix", str(folder), *wanted], check=True)  # noqa: S603  # reason: the list above
    return folder / "node_modules"


def tokens(modules: Path) -> str:
    """Fluent's light and dark web themes as CSS: what both share stands once."""
    read = (
        "const t = require(process.argv[1]);"
        "console.log(JSON.stringify([t.webLightTheme, t.webDarkTheme]))"
    )
    done = subprocess.run(  # noqa: S603  # reason: the script above
        ["node", "-e", read, str(modules / "@fluentui" / "tokens")],  # noqa: S607  # reason: found through PATH, like npm
        check=True,
        capture_output=True,
        text=True,
    )
    light, dark = (
        {name: value for name, value in each.items() if not _LEFT_OUT.match(name)}
        for each in json.loads(done.stdout)
    )
    darker = {name: value for name, value in dark.items() if light[name] != value}
    return (
        f"/* @fluentui/tokens {VERSIONS['@fluentui/tokens']}, MIT: tools/portal_assets.py */\n"
        f":root {{\n  color-scheme: light;\n{_variables(light, '  ')}}}\n\n"
        f'[data-theme="dark"] {{\n  color-scheme: dark;\n{_variables(darker, "  ")}}}\n\n'
        "@media (prefers-color-scheme: dark) {\n"
        f'  [data-theme="system"] {{\n    color-scheme: dark;\n{_variables(darker, "    ")}  }}\n}}\n'
    )


def _variables(values: dict[str, str], indent: str) -> str:
    return "".join(f"{indent}--{name}: {value};\n" for name, value in values.items())


def sprite(modules: Path) -> str:
    """One symbol an icon, in the colour of the text around it."""
    return (
        f"<!-- @fluentui/svg-icons {VERSIONS['@fluentui/svg-icons']}, MIT: tools/portal_assets.py -->\n"
        '<svg xmlns="http://www.w3.org/2000/svg">\n' + "".join(_symbols(modules)) + "</svg>\n"
    )


def _symbols(modules: Path) -> Iterator[str]:
    folder = modules / "@fluentui" / "svg-icons" / "icons"
    for name, icon in ICONS.items():
        text = (folder / f"{icon}_20_regular.svg").read_text(encoding="utf-8")
        drawn = re.fullmatch(r"<svg [^>]*>(.*)</svg>\s*", text, re.DOTALL)
        assert drawn  # noqa: S101  # reason: another form of file is to stop the script
        yield f'<symbol id="{name}" viewBox="0 0 20 20" fill="currentColor">{drawn[1]}</symbol>\n'


def table() -> str:
    """The packages, and the files made of them with their hashes."""
    rows = [
        f"| {name} | `{hashlib.sha256((STATIC / name).read_bytes()).hexdigest()}` |"
        for name in MADE
    ]
    packages = "\n".join(f"* {name} {version}" for name, version in VERSIONS.items())
    return "\n".join([packages, "", "| file | sha256 |", "|---|---|", *rows]) + "\n"


def main() -> None:
    STATIC.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        modules = fetch(Path(folder))
        made = {
            "htmx.min.js": (modules / "htmx.org" / "dist" / "htmx.min.js").read_bytes(),
            "LICENSE.htmx": (modules / "htmx.org" / "LICENSE").read_bytes(),
            "tokens.css": tokens(modules).encode(),
            "LICENSE.fluentui-tokens": (modules / "@fluentui" / "tokens" / "LICENSE").read_bytes(),
            "icons.svg": sprite(modules).encode(),
        }
    for name, content in made.items():
        (STATIC / name).write_bytes(content)
    page = STATIC / "README.md"
    by_hand = page.read_text(encoding="utf-8").partition(MARK)[0]
    page.write_text(f"{by_hand}{MARK}\n{table()}", encoding="utf-8")


if __name__ == "__main__":
    main()
