"""What strangers may make a real server keep (EDGES E1)."""

from __future__ import annotations

import pytest

from bench import hostile


@pytest.mark.slow
def test_a_thousand_bodies_of_a_mebibyte_fill_no_memory() -> None:
    """Kept, they would be 1,000 MB and more; what is left is the connections themselves."""
    seen = hostile.measure(1000, hostile.MEBIBYTE)
    assert seen.answered > 500, "the attack did not arrive"
    assert seen.most - seen.before < 200


@pytest.mark.slow
def test_nor_do_bodies_of_the_size_that_is_taken() -> None:
    seen = hostile.measure(1000, 4096)
    assert seen.most - seen.before < 200
