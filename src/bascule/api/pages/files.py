"""Styles, scripts and images: the same for everybody, so kept by browsers and packed once.

They alone are compressed. A page holds proofs of forms, and what an attacker makes it repeat could
be told from the length of a compressed answer (CVE-2013-3587, BREACH; EDGES E12).
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

_LEAST_PACKED = 512  # bytes; below it packing gains nothing


@dataclass(frozen=True)
class StaticFile:
    content: bytes
    media_type: str

    @cached_property
    def packed(self) -> bytes:
        return gzip.compress(self.content, 9, mtime=0)

    def answer(self, request: Request, cache_control: str) -> Response:
        headers = {"Cache-Control": cache_control, "X-Content-Type-Options": "nosniff"}
        content = self.content
        if len(content) >= _LEAST_PACKED:
            headers["Vary"] = "Accept-Encoding"
            if takes_gzip(request):
                headers["Content-Encoding"] = "gzip"
                content = self.packed
        return Response(content, 200, headers, media_type=self.media_type)


def takes_gzip(request: Request) -> bool:
    """RFC 9110 section 12.5.3: gzip is named, and not with a weight of nought."""
    for listed in request.headers.get("accept-encoding", "").lower().split(","):
        coding, _, weight = listed.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


@lru_cache(maxsize=64)
def read_file(path: Path, media_type: str) -> StaticFile:
    """Read once a process: these change with the program alone."""
    return StaticFile(path.read_bytes(), media_type)


@lru_cache(maxsize=8)
def version_of(folder: Path) -> str:
    """What stands in addresses of a folder's files: another when any of them is another."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
