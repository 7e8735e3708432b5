"""Times commands where it stands, so that entering a lab host is not part of the time.

Speaks JSON lines: ``{"argv": [...]}`` in, ``{"ms": ...}`` or ``{"error": ...}`` out; it ends with
its input.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence

PROGRAM = "bench.stopwatch"


def timed(argv: Sequence[str]) -> float:
    """Milliseconds from start to end of a command that has to succeed; raises OSError."""
    began = time.perf_counter()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    spent = (time.perf_counter() - began) * 1000
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()[-500:]
        raise OSError(f"{' '.join(argv)} ended with {done.returncode}: {said}")
    return spent


def main() -> None:
    for line in sys.stdin:
        try:
            answer: dict[str, object] = {"ms": timed(json.loads(line)["argv"])}
        except OSError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
