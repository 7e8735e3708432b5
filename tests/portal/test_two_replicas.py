"""The portal at two servers behind a balancer that gives every second call to the other (ADR 26)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bascule import portal
from tests.portal import test_access, test_kept, test_request
from tests.portal.visiting import owner
from tests.wire.house import House


@pytest.fixture
def house(data_dir: Path) -> Iterator[House]:
    made = House(data_dir, [portal.router()], replicas=2)
    yield made
    made.close()


def test_a_form_that_a_lost_session_interrupted_comes_back_at_the_other(house: House) -> None:
    test_kept.test_sent_from_there_it_is_done_once(house)


def test_a_form_sent_to_both_makes_one_request(house: House) -> None:
    test_request.test_two_clicks_make_one_request(house)


def test_a_form_sent_to_both_makes_one_credential_with_one_secret(house: House) -> None:
    olga = owner(house)
    test_access.test_two_clicks_make_one_credential(olga, house, "programs/add")
