"""An OCI layout, read as whoever runs it does: each blob is compared with its digest and size."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Image:
    """The one image of a layout: its ``config``, and its one layer as a file."""

    def __init__(self, folder: Path) -> None:
        assert json.loads((folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
        index = json.loads((folder / "index.json").read_text())
        assert index["schemaVersion"] == 2
        (told,) = index["manifests"]
        manifest = json.loads(_blob(folder, told).read_text())
        assert manifest["mediaType"] == told["mediaType"]
        self.config: Any = json.loads(_blob(folder, manifest["config"]).read_text())
        (layer,) = manifest["layers"]
        self.layer = _blob(folder, layer)
        named = {told["digest"], manifest["config"]["digest"], layer["digest"]}
        found = {f"sha256:{each.name}" for each in (folder / "blobs/sha256").iterdir()}
        assert found == named, "no blob that nobody names"


def _blob(folder: Path, told: Mapping[str, Any]) -> Path:
    kind, _, digest = str(told["digest"]).partition(":")
    file = folder / "blobs" / kind / digest
    with file.open("rb") as opened:
        assert hashlib.file_digest(opened, kind).hexdigest() == digest
    assert file.stat().st_size == told["size"]
    return file
