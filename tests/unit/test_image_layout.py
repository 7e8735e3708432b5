"""The container image's layout is what the OCI image specification says, and it starts no root."""

from __future__ import annotations

import gzip
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bascule.bootstrap import server_unit
from bascule.protocol import hello
from tests.support.image import Image
from tools.packages import image

MADE = datetime(2026, 12, 2, tzinfo=UTC)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    layer = tmp_path / "layer.tar"
    layer.write_bytes(b"a tar" * 1000)
    image.write_layout(tmp_path / "image", layer, "0.1.0~dev.1", "amd64", MADE)
    return tmp_path / "image"


def test_every_blob_is_what_its_name_says(layout: Path) -> None:
    found = Image(layout)
    assert found.layer.read_bytes()[:2] == b"\x1f\x8b"
    assert gzip.decompress(found.layer.read_bytes()) == b"a tar" * 1000
    digest = hashlib.sha256(b"a tar" * 1000).hexdigest()
    assert found.config["rootfs"]["diff_ids"] == [f"sha256:{digest}"]
    assert found.config["created"] == "2026-12-02T00:00:00Z"


def test_it_runs_as_an_account_of_its_own_with_a_health_check(layout: Path) -> None:
    config: Any = Image(layout).config["config"]
    user, group = config["User"].split(":")
    assert int(user) == int(group) > 0
    assert config["Entrypoint"] == ["/usr/bin/bascule", "serve", "--data", server_unit.DATA]
    assert config["Healthcheck"]["Test"][1] == "/usr/bin/bascule-healthy"
    assert config["Volumes"] == {server_unit.DATA: {}}


def test_the_same_layer_is_the_same_image(layout: Path, tmp_path: Path) -> None:
    image.write_layout(tmp_path / "again", tmp_path / "layer.tar", "0.1.0~dev.1", "amd64", MADE)
    assert (layout / "index.json").read_bytes() == (tmp_path / "again/index.json").read_bytes()


def test_the_health_check_asks_for_the_installation_s_own_certificate() -> None:
    """A certificate that an operator brought has other names."""
    text = (image.FILES / "healthy").read_text()
    assert f'"{hello.BY_CA}"' in text
    assert "ca.pem" in text


def test_the_compose_file_runs_it_as_it_was_tried() -> None:
    text = (image.ROOT / "docs/compose.yaml").read_text()
    for line in (
        "read_only: true",
        "cap_drop: [ALL]",
        f"data:{server_unit.DATA}",
        'test: ["CMD", "/usr/bin/bascule-healthy"]',
        "timeout: 40s",
    ):
        assert line in text
    assert "user:" not in text, "the image names its account"
