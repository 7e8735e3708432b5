"""A container image of the server as an OCI layout, built without a daemon: ``make image`` writes ``dist/image``.

A small Debian by mmdebstrap (its python3 and no more), with the program of ``bascule-cli`` and ``bascule-server`` from
``dist``. The program runs as an account of its own, on a root that is never written.

Sources: OCI image specification 1.1 (layout, index, manifest, config); mmdebstrap(1). ``Healthcheck`` of the config
is Docker's, which OCI leaves to whoever reads it.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = Path(__file__).parent / "files"
SUITE = "trixie"
ACCOUNT = 65532  # user and group "bascule"
DATA, PORT = "/var/lib/bascule", 8443
PACKAGES = ("bascule-cli", "bascule-server")
# What is unpacked of them: no units and no man pages, and no packages for hosts but those of the server.
PARTS = ("usr/bin", "usr/lib/bascule", "usr/share/bascule", "usr/share/doc")
_MEDIA = "application/vnd.oci.image"
LAYER, CONFIG, MANIFEST = (
    f"{_MEDIA}.{each}" for each in ("layer.v1.tar+gzip", "config.v1+json", "manifest.v1+json")
)


def main() -> None:
    given = _arguments()
    debs = [_deb(given.packages, each) for each in PACKAGES]
    if shutil.which("mmdebstrap") is None:
        raise SystemExit("mmdebstrap is missing: apt-get install mmdebstrap")
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or _commit_time())
    with tempfile.TemporaryDirectory() as folder:
        layer = Path(folder) / "layer.tar"
        _make_root(layer, debs, Path(folder), given.arch, epoch)
        version = _field(debs[-1], "Version")
        shutil.rmtree(given.out, ignore_errors=True)
        digest = write_layout(
            given.out, layer, version, given.arch, datetime.fromtimestamp(epoch, UTC)
        )
    print(f"{given.out}: version {version}, {digest}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--packages", type=Path, default=ROOT / "dist", help="where the .deb files are"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "image")
    parser.add_argument("--arch", choices=("amd64", "arm64"), default="amd64")
    return parser.parse_args()


def _deb(folder: Path, name: str) -> Path:
    found = list(folder.glob(f"{name}_*.deb"))
    if len(found) != 1:
        raise SystemExit(
            f"{folder} has {len(found)} {name}_*.deb, where one is needed: make packages"
        )
    return found[0]


def _field(deb: Path, name: str) -> str:
    command = ["dpkg-deb", "--field", str(deb), name]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  # reason: fixed words
    return done.stdout.strip()


def _commit_time() -> str:
    command = ["git", "log", "-1", "--format=%ct"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603  # reason: fixed words
    return done.stdout.strip()


def _make_root(layer: Path, debs: list[Path], work: Path, arch: str, epoch: int) -> None:
    """The files of the image as a tar: Debian's, then the program's, compiled."""
    program = work / "program"
    for deb in debs:
        subprocess.run(["dpkg-deb", "-x", str(deb), str(work / "all")], check=True)  # noqa: S603, S607  # reason: fixed words
    for part in PARTS:
        shutil.copytree(work / "all" / part, program / part, dirs_exist_ok=True, symlinks=True)
    healthy = program / "usr/bin/bascule-healthy"
    healthy.write_text((FILES / "healthy").read_text())
    healthy.chmod(0o755)
    passwd = f"bascule:x:{ACCOUNT}:{ACCOUNT}:Bascule server:{DATA}:/usr/sbin/nologin"
    steps = (
        f'cp -rT {program} "$1"',
        f'echo {passwd} >>"$1/etc/passwd"; echo bascule:x:{ACCOUNT}: >>"$1/etc/group"',
        f'mkdir -m 700 "$1{DATA}" && chown {ACCOUNT}:{ACCOUNT} "$1{DATA}"',
        'chroot "$1" python3 -I -m compileall -q --invalidation-mode unchecked-hash /usr/lib/bascule',
        'rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/* "$1"/var/log/* "$1"/usr/share/man/*',
    )
    command = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3,ca-certificates"]
    command += [f"--architectures={arch}", "--skip=output/dev,output/mknod"]
    command += [f"--customize-hook={step}" for step in steps]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    subprocess.run([*command, SUITE, str(layer)], check=True, env=environment)  # noqa: S603  # reason: fixed words


def write_layout(out: Path, layer: Path, version: str, arch: str, made: datetime) -> str:
    """An image of one layer, a tar; returns the manifest's digest."""
    blobs = out / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    raw = hashlib.sha256()
    packed = blobs / "packed"
    with (
        layer.open("rb") as source,
        packed.open("wb") as target,
        gzip.GzipFile(filename="", mode="wb", fileobj=target, mtime=0, compresslevel=6) as zipped,
    ):
        while piece := source.read(1 << 20):
            raw.update(piece)
            zipped.write(piece)
    with packed.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    packed = packed.rename(blobs / digest)
    layers = [{"mediaType": LAYER, "digest": f"sha256:{digest}", "size": packed.stat().st_size}]
    created = made.isoformat().replace("+00:00", "Z")
    config = _put(blobs, CONFIG, _config(raw.hexdigest(), version, arch, created))
    manifest = _put(
        blobs,
        MANIFEST,
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers},
    )
    named = {"org.opencontainers.image.ref.name": version.replace("~", "-")}
    platform = {"architecture": arch, "os": "linux"}
    index = {
        "schemaVersion": 2,
        "mediaType": f"{_MEDIA}.index.v1+json",
        "manifests": [{**manifest, "platform": platform, "annotations": named}],
    }
    (out / "index.json").write_text(json.dumps(index))
    (out / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return str(manifest["digest"])


def _config(diff: str, version: str, arch: str, created: str) -> Mapping[str, object]:
    second = 1_000_000_000
    return {
        "created": created,
        "architecture": arch,
        "os": "linux",
        "config": {
            "User": f"{ACCOUNT}:{ACCOUNT}",
            "Env": ["PATH=/usr/bin:/bin", f"HOME={DATA}", "PYTHONDONTWRITEBYTECODE=1"],
            "Entrypoint": ["/usr/bin/bascule", "serve", "--data", DATA],
            "Cmd": ["--listen", f"0.0.0.0:{PORT}"],
            "ExposedPorts": {f"{PORT}/tcp": {}},
            "Volumes": {DATA: {}},
            "WorkingDir": "/",
            "StopSignal": "SIGTERM",
            "Labels": {
                "org.opencontainers.image.title": "bascule",
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
            "Healthcheck": {
                "Test": ["CMD", "/usr/bin/bascule-healthy"],
                "Interval": 30 * second,
                "Timeout": 40 * second,  # /readyz gives a slow database 30 s
                "StartPeriod": 60 * second,
                "Retries": 3,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}"]},
        "history": [{"created": created, "created_by": "make image"}],
    }


def _put(blobs: Path, kind: str, content: Mapping[str, object]) -> dict[str, object]:
    data = json.dumps(content).encode()
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}


if __name__ == "__main__":
    main()
