"""``python -m bench.hashing``: what a password's hash costs here, with which parameters.

Prints a table of Argon2id's recommended options, and how many sign-ins a second the server's
own bound lets through. Needs neither root nor a lab.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time

from argon2.low_level import Type, hash_secret

from bascule.identity.passwords import AT_ONCE, KEPT_FOR_KNOWN, MOST_WAITING, Argon2Passwords

MIB = 1024  # KiB
OPTIONS = {
    "RFC 9106, second option (ours)": (3, 64 * MIB, 4),
    "the same on one lane": (3, 64 * MIB, 1),
    "OWASP, first option": (1, 46 * MIB, 1),
    "OWASP, second option": (2, 19 * MIB, 1),
}
ROUNDS = 9


def cost_of(passes: int, memory: int, lanes: int) -> tuple[float, float]:
    """Median milliseconds of one hash: by the wall clock, and of CPU."""
    walls, cpus = [], []
    for _ in range(ROUNDS):
        wall, cpu = time.perf_counter(), time.process_time()
        hash_secret(b"four words of mine", os.urandom(16), passes, memory, lanes, 32, Type.ID)
        walls.append((time.perf_counter() - wall) * 1000)
        cpus.append((time.process_time() - cpu) * 1000)
    return statistics.median(walls), statistics.median(cpus)


async def crowd(size: int) -> tuple[float, float]:
    """Right passwords of people who are known, all at once: a second, and the longest wait."""
    desk = Argon2Passwords()
    stored = await desk.hash("four words of mine")
    began = time.perf_counter()
    waits = []

    async def one() -> None:
        await desk.verify(stored, "four words of mine", is_known=True)
        waits.append(time.perf_counter() - began)

    await asyncio.gather(*(one() for _ in range(size)))
    return size / (time.perf_counter() - began), max(waits)


def main() -> None:
    print(f"{'Argon2id':34} {'MiB':>4} {'wall ms':>8} {'CPU ms':>7}")
    for name, (passes, memory, lanes) in OPTIONS.items():
        wall, cpu = cost_of(passes, memory, lanes)
        print(f"{name:34} {memory // MIB:4} {wall:8.0f} {cpu:7.0f}")
    size = AT_ONCE + MOST_WAITING + KEPT_FOR_KNOWN
    rate, longest = asyncio.run(crowd(size))
    print(
        f"{size} sign-ins at once, {AT_ONCE} hashed at a time: {rate:.1f}/s, last {longest:.1f} s"
    )


if __name__ == "__main__":
    main()
