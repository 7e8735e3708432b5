"""The process that stands in a candidate's client namespace: asks, knocks, tells the time.

Speaks JSON lines on standard input and output: first the question (an object with ``kind``,
``address``, ``port``, ``interval`` and the fields of the question), then ``{"do": ...}`` for
each step, each answered by one line. It ends with its input, so it outlives nobody.

What is not here: the order of rounds (``ask_to_open``), starting it (``standing``).
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Mapping
from typing import Any

from bench.asking import Asker, BasculeAsker, BasculeQuestion, CommandAsker, CommandQuestion
from bench.probe import Prober, Target, is_open

OPEN_SECONDS = 8.0  # longer than any candidate that works
CLOSE_SECONDS = 10.0
_EARLY_SECONDS = 0.8  # watching begins so long before the promised end
KINDS = {"bascule": (BasculeQuestion, BasculeAsker), "command": (CommandQuestion, CommandAsker)}


class Worker:
    def __init__(self, asker: Asker, target: Target, interval: float) -> None:
        self._asker = asker
        self._target = target
        self._prober = Prober(target, interval)
        self._ends_at = 0.0

    def do(self, step: str) -> Mapping[str, Any]:
        match step:
            case "warm":
                self._asker.warm()
                return {"is_open": is_open(self._target)}
            case "open":
                return self._open()
            case "close":
                return self._close()
        raise ValueError(f"there is no step {step!r}")

    def _open(self) -> Mapping[str, Any]:
        gc.collect()  # so that no collection falls into the measured time
        opening = self._prober.time_opening(self._asker.ask, OPEN_SECONDS)
        if opening.opened_at is not None:
            self._ends_at = self._asker.promised_end(opening.answer, opening.opened_at)
        return {
            "latency_ms": opening.latency_ms,
            "answered_ms": (opening.answered_at - opening.asked_at) * 1000,
            "knocks": opening.knocks,
        }

    def _close(self) -> Mapping[str, Any]:
        closed_at = self._prober.time_closing(self._ends_at - _EARLY_SECONDS, CLOSE_SECONDS)
        return {"late_ms": None if closed_at is None else (closed_at - self._ends_at) * 1000}


def build(question: dict[str, Any]) -> Worker:
    """Make the worker that a first line describes."""
    shape, asker = KINDS[question.pop("kind")]
    target = (str(question.pop("address")), int(question.pop("target_port")))
    interval = float(question.pop("interval"))
    made: Asker = asker(shape(**question))
    return Worker(made, target, interval)


def main() -> None:
    worker = build(json.loads(sys.stdin.readline()))
    gc.freeze()
    for line in sys.stdin:
        try:
            answer = worker.do(json.loads(line)["do"])
        except Exception as error:  # noqa: BLE001  # reason: told to the parent, which decides
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
