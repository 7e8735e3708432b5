"""docs/monitoring on Debian's Prometheus: it gets a token by itself, scrapes a server that runs, and
evaluates each rule of the alerts and each query of the dashboard.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # reason: it has no stubs

from bascule.agent.textfile import Told, text_of
from tests.samples import NOW
from tests.support.own import free_port
from tests.wire.running import Server, running

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "docs" / "monitoring"
PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
WITHIN = 60.0  # seconds
# There is no sink and no own certificate here, no grant was opened and no secret ends: no value yet.
EMPTY = ("bascule_sink_", "histogram_quantile", "bascule_ending_", 'certificate="own"')
AGENT_TEXT = text_of(
    Told(
        {
            "connected": True,
            "enforcing": True,
            "generation": 7,
            "failedPasses": 0,
            "closed": ["22/tcp"],
            "open": [],
            "waiting": [],
            "behind": [],
            "weaknesses": [],
            "refusedByGuard": {},
        },
        is_owned=True,
    ),
    NOW,
)

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="needs Debian's prometheus"
)


def metrics_of(text: str) -> set[str]:
    return set(re.findall(r"\b(?:bascule|process)_[a-z_]+", text)) - {"process_"}


def agent_queries() -> list[str]:
    group = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"][1]
    return [rule["expr"] for rule in group["rules"]]


def queries() -> list[str]:
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"][0]["rules"]
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    return [rule["expr"] for rule in rules] + [
        target["expr"] for panel in panels for target in panel["targets"]
    ]


@contextmanager
def scraping(folder: Path, server: Server, metrics_port: int) -> Iterator[str]:
    """Prometheus with our example, made to fit; and a second job at the listener without a token."""
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    host = server.endpoint.removeprefix("https://")
    (folder / "secret").write_text(server.admin["client_secret"])
    job["static_configs"] = [{"targets": [host]}]
    job["tls_config"]["ca_file"] = server.admin["ca_file"]
    job["oauth2"] |= {
        "client_id": server.admin["client_id"],
        "client_secret_file": str(folder / "secret"),
        "token_url": f"{server.endpoint}/{server.admin['tenant_id']}/oauth2/v2.0/token",
        "scopes": [f"{server.endpoint}/.default"],
        "tls_config": {"ca_file": server.admin["ca_file"]},
    }
    plain = {"job_name": "plain", "static_configs": [{"targets": [f"127.0.0.1:{metrics_port}"]}]}
    config["scrape_configs"].append(plain)
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(MONITORING / "alerts.yml")]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/db",
    ]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}/api/v1"
    finally:
        process.terminate()
        process.wait(30)


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url) as found:  # noqa: S310  # reason: our own, http
        return bytes(found.read())


def answer(api: str, path: str, **parameters: str) -> Any:
    told = json.loads(fetched(f"{api}/{path}?{urllib.parse.urlencode(parameters)}"))
    assert told["status"] == "success", told
    return told["data"]


def ask(api: str, query: str) -> list[Any]:
    return list(answer(api, "query", query=query)["result"])


def wait_until_scraped(api: str) -> None:
    deadline = time.monotonic() + WITHIN
    up: list[Any] = []
    while time.monotonic() < deadline:
        try:
            up = ask(api, "up")
        except OSError:  # it starts
            up = []
        if [each["value"][1] for each in up] == ["1", "1"]:
            return
        time.sleep(0.2)
    pytest.fail(f"not scraped: {up}; {answer(api, 'targets')}")


def test_the_files_are_what_prometheus_takes() -> None:
    for command in (
        ["promtool", "check", "rules", "alerts.yml"],
        ["promtool", "check", "config", "--syntax-only", "prometheus.yml"],
    ):
        ran = subprocess.run(command, cwd=MONITORING, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_real_prometheus_scrapes_and_every_query_has_an_answer(tmp_path: Path) -> None:
    metrics_port = free_port()
    with (
        running(tmp_path, "--metrics-listen", f"127.0.0.1:{metrics_port}") as server,
        scraping(tmp_path, server, metrics_port) as api,
    ):
        wait_until_scraped(api)
        text = fetched(f"http://127.0.0.1:{metrics_port}/metrics")
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
        )
        assert checked.returncode == 0, checked.stderr.decode()
        served = set(re.findall(r"^# TYPE (\S+)", text.decode(), re.MULTILINE))
        told = {
            re.sub(r"_(bucket|count|sum)$", "", each) for each in metrics_of("\n".join(queries()))
        }
        assert told <= served
        ours = {each for each in served if each.startswith("bascule_")}
        told_of_agents = set(re.findall(r"^# TYPE (\S+)", AGENT_TEXT, re.MULTILINE))
        assert {each for each in metrics_of(PAGE) if each.startswith("bascule_")} == (
            ours | told_of_agents
        )
        assert {
            each for each in metrics_of("\n".join(agent_queries())) if each.startswith("bascule_")
        } <= told_of_agents
        deadline = time.monotonic() + WITHIN
        for query in queries():
            if any(each in query for each in EMPTY):
                ask(api, query)
                continue
            value = re.sub(r" (==|>|<) [0-9.* ]+$", "", query)
            while not ask(api, value):  # an increase takes two scrapes
                assert time.monotonic() < deadline, query
                time.sleep(0.2)
        groups = answer(api, "rules")["groups"]
        health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
        assert len(health) >= 10
        assert set(health.values()) <= {"ok", "unknown"}, health
        alerts = answer(api, "alerts")["alerts"]
        assert alerts == []  # nor does one wait for its time
