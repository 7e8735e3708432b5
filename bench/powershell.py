"""``python -m bench.powershell``: what importing the PowerShell module costs, beside an empty one.

Each import is the first thing in a PowerShell of its own and timed inside it; ours and the
empty module take turns. Needs pwsh, named by $PWSH or on PATH; without it nothing is measured.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import report
from bench.series import summary

MODULE = Path(__file__).resolve().parents[1] / "powershell" / "Bascule" / "Bascule.psd1"
AIM_MS = 300  # over an empty module
_LONGEST_SECONDS = 120
_EMPTY = (
    "@{ RootModule = 'Empty.psm1'; ModuleVersion = '1.0'; FunctionsToExport = @('Get-Nothing') }"
)
# .NET's watch, because a cmdlet's first use would be part of the time.
_TIMED = (
    "$ErrorActionPreference = 'Stop'; $watch = [System.Diagnostics.Stopwatch]::StartNew(); "
    "Import-Module -Name $env:BASCULE_BENCH_MODULE; "
    "[System.Console]::Out.Write($watch.Elapsed.TotalMilliseconds.ToString('R', "
    "[System.Globalization.CultureInfo]::InvariantCulture))"
)


def find_pwsh() -> str | None:
    """The PowerShell to measure with; None when there is none."""
    return shutil.which(os.environ.get("PWSH", "") or "pwsh")


def import_ms(pwsh: str, module: Path) -> float:
    """Milliseconds of one import in a new PowerShell; raises CalledProcessError."""
    done = subprocess.run(
        [pwsh, "-NoLogo", "-NoProfile", "-NonInteractive", "-Command", _TIMED],
        env={**os.environ, "BASCULE_BENCH_MODULE": str(module)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=_LONGEST_SECONDS,
    )
    return float(done.stdout)


def empty_module(folder: Path) -> Path:
    """A module with one function that does nothing."""
    path = folder / "Empty" / "Empty.psd1"
    path.parent.mkdir()
    path.write_text(_EMPTY)
    path.with_suffix(".psm1").write_text("function Get-Nothing { }\n")
    return path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.powershell", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="imports a module (9)")
    parser.add_argument("--dry", action="store_true", help="print, but write no results")
    arguments = parser.parse_args()
    pwsh = find_pwsh()
    if pwsh is None:
        print("not measured: there is no pwsh on PATH, and $PWSH names none", file=sys.stderr)
        return 0
    times: dict[str, list[float]] = {"empty module": [], "Bascule": []}
    with tempfile.TemporaryDirectory(prefix="bascule-bench-") as folder:
        modules = {"empty module": empty_module(Path(folder)), "Bascule": MODULE}
        try:
            for _ in range(arguments.rounds):
                for name, module in modules.items():  # in turn, so that moods are shared
                    times[name].append(import_ms(pwsh, module))
        except subprocess.CalledProcessError as error:
            print(f"error: the import failed: {error.stderr.strip()[-1000:]}", file=sys.stderr)
            return 1
    found = {name: summary(each) for name, each in times.items()}
    nothing = found["empty module"]["p50"]
    rows = [["IMPORT", "P50 MS", "P95 MS", "RATIO", "OVER EMPTY", "AIM"]]
    for name, figures in found.items():
        p50 = figures["p50"]
        over = f"{p50 - nothing:.0f} ms"
        aim = f"{AIM_MS} ms" if name == "Bascule" else "-"
        rows.append([name, f"{p50}", f"{figures['p95']}", f"{p50 / nothing:.2f}x", over, aim])
    print(report.render(rows))
    if not arguments.dry:
        report.write("powershell.json", {**found, "aim_ms": AIM_MS, "machine": report.machine()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
