"""The server's program, which counts its objects when it is asked: ``python -m bench.census serve ...``.

SIGUSR1: count. SIGUSR2: count, then search all memory for reference cycles once. What was counted is
written to the file that the environment names in ``BASCULE_CENSUS``, as JSON. The process does nothing
else meanwhile, for about a second at a million objects. Text, bytes and numbers are in no count of types
(the garbage collector does not know them), but in ``blocks``: all that Python has allocated.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import signal
import sys
from collections import Counter
from pathlib import Path

FILE = "BASCULE_CENSUS"


def count(number: int, _: object) -> None:
    gc.unfreeze()  # objects that the server's collector set aside are in no list (bootstrap/collector.py)
    types = Counter(
        f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects()
    )
    told = {"blocks": sys.getallocatedblocks(), "types": types, "in_cycles": None}
    if number == signal.SIGUSR2:
        told["in_cycles"] = gc.collect()
    gc.freeze()
    path = Path(os.environ[FILE])
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(told))
    draft.replace(path)


if __name__ == "__main__":
    for each in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(each, count)
    runpy.run_module("bascule.bootstrap", run_name="__main__", alter_sys=True)
