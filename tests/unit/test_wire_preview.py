"""What a preview tells of rules, as JSON."""

from __future__ import annotations

import pytest

from bascule.api.wire.preview import preview_json
from bascule.portal.codes import text_of
from bascule.services.rehearsal import NamedPublic, Preview, RuleChange
from bascule.words import Words
from tests.samples import WEB


@pytest.mark.parametrize("is_on", [True, False])
def test_a_setting_that_changes_is_told_by_its_name(is_on: bool) -> None:
    """A client that reads the policy's own field knows the preview's; what stays is not told."""
    change = RuleChange(WEB, "22/TCP", requires=(("justificationRequired", is_on),))
    (told,) = preview_json(Preview(rules=(change,)))["changesRules"]
    assert told == {
        "machineId": str(WEB),
        "number": 22,
        "protocol": "TCP",
        "justificationRequired": is_on,
    }
    (same,) = preview_json(Preview(rules=(RuleChange(WEB, "22/TCP"),)))["changesRules"]
    assert "justificationRequired" not in same
    code = f"rule.justificationRequired.{'on' if is_on else 'off'}"
    assert text_of(Words("en"), code)
    assert text_of(Words("fr"), code) != text_of(Words("en"), code)


def test_another_public_port_is_told_with_what_it_was() -> None:
    """Nothing is said of one that stays; null is one that is chosen."""
    public = (NamedPublic(2222, "198.51.100.7"), NamedPublic())
    (told,) = preview_json(Preview(rules=(RuleChange(WEB, "22/TCP", public=public),)))[
        "changesRules"
    ]
    assert (told["previousPublicPort"], told["publicPort"]) == (2222, None)
    assert (told["previousPublicIpAddress"], told["publicIpAddress"]) == ("198.51.100.7", None)
    assert [str(each) for each in public] == ["198.51.100.7:2222", ""]
    (same,) = preview_json(Preview(rules=(RuleChange(WEB, "22/TCP"),)))["changesRules"]
    assert not {"publicPort", "previousPublicPort"} & same.keys()
