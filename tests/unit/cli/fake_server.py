"""A server of the wire contract in memory, for the command line's tests.

It answers like Bascule where the client looks: tokens, machines, rules, requests, events,
errors in their envelope. What a machine's agent does is told by ``agents``. It decides
little and keeps nothing; the real server is met in the end-to-end tests.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx2

from bascule.client.tokens import Person, Token, TokenFile
from bascule.clocks import SystemClock
from bascule.domain.clients import BASCULE_CLI
from bascule.domain.times import format_utc, parse_duration, parse_instant

TENANT = "11111111-1111-4111-8111-111111111111"
SUBSCRIPTION = "22222222-2222-4222-8222-222222222222"
CLIENT = "33333333-3333-4333-8333-333333333333"
SECRET = "the-secret"
ENDPOINT = "https://bascule.test:8443"
MY_ADDRESS = "198.51.100.7"
S = f"/subscriptions/{SUBSCRIPTION}"

CLOCK = SystemClock()

Json = dict[str, Any]


class Refusal(Exception):
    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: list[Json] | None = None,
        advice: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body: Json = {"error": {"code": code, "message": message}}
        if details:
            self.body["error"]["details"] = details
        if advice:
            self.body["error"]["additionalInfo"] = [{"type": "advice", "info": {"advice": advice}}]


def keep_person(config: Path, token_file: Path, name: str, server: FakeServer) -> None:
    """Make somebody signed in here, as ``bascule login`` leaves it."""
    profile = {
        "endpoint": ENDPOINT,
        "ca_file": "/ca.pem",
        "tenant_id": TENANT,
        "subscription_id": SUBSCRIPTION,
        "client_id": BASCULE_CLI,
        "client_secret": "",
        "user": name,
    }
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps(profile))
    first = name.partition("@")[0]
    server.tokens.add(f"{first}-access")
    TokenFile(token_file).save(
        Person(TENANT, BASCULE_CLI, name).key(ENDPOINT),
        Token(f"{first}-access", CLOCK.now() + timedelta(hours=1), f"{first}-refresh"),
    )


def machine_path(name: str, group: str = "default") -> str:
    return f"{S}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines/{name}"


def policy_path(name: str = "default", group: str = "default") -> str:
    return (
        f"{S}/resourceGroups/{group}/providers/Microsoft.Security/locations/local"
        f"/jitNetworkAccessPolicies/{name}"
    )


def rule(
    number: int, protocol: str = "TCP", longest: str = "PT3H", source: str = "*", **extra: Any
) -> Json:
    return {
        "number": number,
        "protocol": protocol,
        "allowedSourceAddressPrefix": source,
        "maxRequestAccessDuration": longest,
        "bascule": {"onExpiry": "keep", "justificationRequired": False, **extra},
    }


def public_port(address: str, number: int, protocol: str = "TCP") -> Json:
    return {
        "gateway": machine_path("gw"),
        "publicIpAddress": address,
        "mappedPort": number,
        "protocol": protocol,
    }


@dataclass
class FakeServer:
    page_size: int = 1000
    token_life: int = 3600
    caller_header: bool = True
    own_name: str = "administrator"  # of the program that calls; empty: it is not told
    filters_names: bool = True
    shows_closing: bool = False  # are closing grants among those that are live?
    behind: Json = field(default_factory=dict)  # what a grant behind a gateway says more
    subscriptions: list[str] = field(default_factory=lambda: [SUBSCRIPTION])
    machines: dict[str, Json] = field(default_factory=dict)  # by path
    policies: dict[str, dict[str, list[Json]]] = field(
        default_factory=dict
    )  # path -> machine -> rules
    preview: Json = field(default_factory=dict)  # what a dry run answers
    requests: list[Json] = field(default_factory=list)  # newest first
    events: list[Json] = field(default_factory=list)
    bare: str = ""  # the line for a bare Debian; empty: no packages are handed out
    agents: dict[str, str] = field(
        default_factory=dict
    )  # opens | fails | silent | refuses, by machine
    plans: dict[str, str] = field(default_factory=dict)  # tier by group; "" is the subscription
    knock_hours: list[int] = field(default_factory=list)  # the newest hours, the last is running
    knockers: list[Json] = field(default_factory=list)
    asked_knocks: tuple[str, Json] = ("", {})
    sessions: int | None = 0  # alive after a revocation; None: they cannot be counted
    lacks: list[str] = field(default_factory=list)  # what each point cannot do
    public: list[Json] = field(default_factory=list)  # public ports that lead to each granted one
    export: bytes = b""  # of the record
    verification: Json = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    calls: list[tuple[str, str, Json]] = field(default_factory=list)  # method, path, body
    headers: Json = field(default_factory=dict)
    on_call: Callable[[str, str], None] | None = None

    # -- the world, for tests to set up

    def add_machine(
        self,
        name: str,
        *addresses: str,
        group: str = "default",
        agent: str = "online",
        closed: list[Json] | None = None,
        os: str = "Linux",
    ) -> str:
        path = machine_path(name, group)
        point = (
            None
            if not agent
            else {
                "machineId": path,
                "state": agent,
                "lastContactAt": "2030-01-01T00:00:00.0000000Z",
                "generation": 3,
                "observedGeneration": 3,
                "agentVersion": "0.1.0",
                "weaknesses": [],
                "blockedAttempts": 0,
            }
        )
        reason = {"code": "NoEnforcementPoint", "message": "No agent.", "advice": "Enrol one."}
        self.machines[path] = {
            "id": path,
            "name": name,
            "type": "Microsoft.Compute/virtualMachines",
            "location": "local",
            "tags": {},
            "properties": {
                "vmId": str(uuid.uuid4()),
                "provisioningState": "Succeeded",
                "storageProfile": {"osDisk": {"osType": os}},
                "bascule": {
                    "addresses": list(addresses),
                    "state": "notConfigured" if point else "unsupported",
                    "reasons": [] if point else [reason],
                    "closedPorts": closed or [],
                    "claimedPorts": [],
                    "enforcementPoint": point,
                },
            },
        }
        return path

    def set_rules(
        self, name: str, *rules: Json, policy: str = "default", group: str = "default"
    ) -> None:
        self.policies.setdefault(policy_path(policy, group), {})[machine_path(name, group)] = list(
            rules
        )

    def add_request(
        self,
        name: str,
        number: int = 22,
        source: str = MY_ADDRESS,
        state: str = "open",
        left: timedelta = timedelta(hours=1),
        requestor: str = "me",
        protocol: str = "TCP",
        justification: str = "",
        request_id: str = "",
    ) -> Json:
        asked = [
            {
                "number": number,
                "allowedSourceAddressPrefix": source,
                "endTimeUtc": format_utc(CLOCK.now() + left),
            }
        ]
        made = self._make(
            policy_path(), machine_path(name), asked, justification, requestor, protocol
        )
        for port in made["properties"]["virtualMachines"][0]["ports"]:
            port["bascule"]["state"] = state
        if request_id:
            made["name"] = request_id
        self._settle(made)
        return made

    # -- HTTP

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = re.sub("/+", "/", request.url.path)
        body = self._body(request)
        self.calls.append((request.method, path, body))
        try:
            if self.on_call is not None:
                self.on_call(request.method, path)
            status, answer = self._route(request, path, body)
        except Refusal as refusal:
            status, answer = refusal.status, refusal.body
        headers = {"x-bascule-caller-address": MY_ADDRESS} if self.caller_header else {}
        content = b"" if answer is None else json.dumps(answer).encode()
        if path.endswith("/export") and status == 200:
            content = self.export
        return httpx2.Response(status, content=content, headers={**headers, **self.headers})

    @staticmethod
    def _body(request: httpx2.Request) -> Json:
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return {k: v[0] for k, v in parse_qs(request.content.decode()).items()}
        body: Json = json.loads(request.content) if request.content else {}
        return body

    def _route(self, request: httpx2.Request, path: str, body: Json) -> tuple[int, Json | None]:
        if path == "/metadata/endpoints":
            return 200, {"authentication": {"tenant": TENANT}}
        if path.endswith("/oauth2/v2.0/token"):
            return self._token(body)
        if path.endswith("/oauth2/v2.0/revoke"):
            return self._revoke_token(body)
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            raise Refusal(401, "ExpiredAuthenticationToken", "The token is not valid.")
        query = dict(request.url.params)
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", query.get("api-version", "")), path
        for pattern, method, answer in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method == request.method:
                return answer(self, match, query, body)
        raise Refusal(404, "ResourceNotFound", f"There is nothing at {path}.")

    def _token(self, body: Json) -> tuple[int, Json]:
        if (body["client_id"], body["client_secret"]) != (CLIENT, SECRET):
            return 401, {
                "error": "invalid_client",
                "error_description": "AADSTS7000215: wrong secret.",
            }
        token = f"token-{len(self.tokens) + 1}"
        self.tokens.add(token)
        return 200, {"token_type": "Bearer", "expires_in": self.token_life, "access_token": token}

    def _revoke_token(self, _: Json) -> tuple[int, Json | None]:
        return 200, None

    def _page(self, path: str, items: list[Json], query: Json) -> tuple[int, Json]:
        start = int(query.get("$skiptoken", "0"))
        size = min(self.page_size, int(query.get("$top", "1000")))
        answer: Json = {"value": items[start : start + size]}
        if start + size < len(items):
            rest = "".join(
                f"&{k}={v}" for k, v in query.items() if k not in ("$skiptoken", "api-version")
            )
            answer["nextLink"] = (
                f"{ENDPOINT}{path}?api-version={query['api-version']}"
                f"&$skiptoken={start + size}{rest}"
            )
        return 200, answer

    def _me(self, *_: object) -> tuple[int, Json]:
        if not self.own_name:
            raise Refusal(404, "ResourceNotFound", "A server that does not tell.")
        properties = {
            "principalId": CLIENT,
            "principalType": "ServicePrincipal",
            "principalName": self.own_name,
            "groups": [],
            "roleAssignments": [],
        }
        return 200, {"properties": properties}

    # -- plans

    def _plan(self, match: re.Match[str], *_: Json) -> tuple[int, Json]:
        group = match[1] or ""
        tier = self.plans.get(group) or self.plans.get("", "Standard")
        inherited = bool(group) and group not in self.plans
        properties = {"pricingTier": tier, "inherited": str(inherited), "enforce": "False"}
        return 200, {"name": "VirtualMachines", "properties": properties}

    def _put_plan(self, match: re.Match[str], query: Json, body: Json) -> tuple[int, Json]:
        self.plans[match[1] or ""] = body["properties"]["pricingTier"]
        return self._plan(match, query, body)

    def _reset_plan(self, match: re.Match[str], *_: Json) -> tuple[int, None]:
        return (200 if self.plans.pop(match[1], None) else 204), None

    # -- machines and rules

    def _knocks(self, match: re.Match[str], query: Json, *_: Json) -> tuple[int, Json]:
        """The newest hours of ``hours``, and the first of ``knockers``."""
        last = CLOCK.now().replace(minute=0, second=0, microsecond=0)
        wanted = int(query["hours"])
        counts = ([0] * wanted + self.knock_hours)[-wanted:]
        begins = [last - timedelta(hours=back) for back in reversed(range(wanted))]
        self.asked_knocks = match[0], query
        return 200, {
            "properties": {
                "since": format_utc(begins[0]),
                "until": format_utc(CLOCK.now()),
                "attempts": sum(counts),
                "hours": [
                    {"since": format_utc(begin), "attempts": count}
                    for begin, count in zip(begins, counts, strict=True)
                ],
                "sources": self.knockers[: int(query["top"])],
            }
        }

    def _machine(self, path: str) -> Json:
        found = next((m for p, m in self.machines.items() if p.casefold() == path.casefold()), None)
        if found is None:
            raise Refusal(404, "ResourceNotFound", f"Machine {path} does not exist.")
        return found

    def _named(self, wanted: str) -> list[Json]:
        name = wanted.removeprefix("name eq '").rstrip("'") if self.filters_names else ""
        return [
            each
            for each in self.machines.values()
            if not name or each["name"].casefold() == name.casefold()
        ]

    def _put_machine(self, match: re.Match[str], _: Json, body: Json) -> tuple[int, Json]:
        path, is_new = match[1], match[1] not in self.machines
        if is_new:
            self.add_machine(match[2], agent="")
        properties = self.machines[path]["properties"]
        given = body.get("properties", {})
        if "bascule" in given:
            properties["bascule"]["addresses"] = given["bascule"]["addresses"]
        if "tags" in body:
            self.machines[path]["tags"] = body["tags"]
        if "storageProfile" in given:
            properties["storageProfile"] = given["storageProfile"]
        return 201 if is_new else 200, self.machines[path]

    def _rules(self, match: re.Match[str], *_: Json) -> tuple[int, Json]:
        machine = self._machine(match[1])
        policies = [
            {"policyId": policy, "ports": rules[match[1]]}
            for policy, rules in self.policies.items()
            if match[1] in rules
        ]
        return 200, {
            "id": f"{match[0]}",
            "name": "default",
            "properties": {
                "machineId": match[1],
                "policies": policies,
                "closedPorts": machine["properties"]["bascule"]["closedPorts"],
                "hostGuard": (machine["properties"]["bascule"]["enforcementPoint"] or {}).get(
                    "guard"
                ),
            },
        }

    def _put_rules(self, match: re.Match[str], query: Json, body: Json) -> tuple[int, Json]:
        properties = body["properties"]
        if query.get("dryRun"):
            return 200, self.preview
        closed = self._machine(match[1])["properties"]["bascule"]["closedPorts"]
        self.policies.setdefault(policy_path(properties["policyName"]), {})[match[1]] = properties[
            "ports"
        ]
        named = {(p["number"], p["protocol"]) for p in properties["ports"]}
        for port in closed:
            port["inPolicy"] = (port["number"], port["protocol"]) in named
        held = {(p["number"], p["protocol"]) for p in closed}
        closed += [
            {"number": n, "protocol": p, "onExpiry": "keep", "inPolicy": True}
            for n, p in sorted(named - held)
        ]
        return self._rules(match, query, body)

    def _delete_rules(self, match: re.Match[str], query: Json, _: Json) -> tuple[int, Json | None]:
        if query.get("dryRun"):
            return 200, self.preview
        named = [policy for policy in self.policies.values() if policy.pop(match[1], None)]
        if named:
            ours = self._machine(match[1])["properties"]["bascule"]
            self._let_go(match[1], [p for p in ours["closedPorts"] if p["inPolicy"]])
            for port in ours["closedPorts"]:
                port["inPolicy"] = False
        return (200 if named else 204), None

    def _release(self, match: re.Match[str], _: Json, body: Json) -> tuple[int, Json]:
        ours = self._machine(match[1])["properties"]["bascule"]
        wanted = {(p["number"], p["protocol"]) for p in body.get("ports", [])}
        for port in ours["closedPorts"]:
            if port["inPolicy"] and (port["number"], port["protocol"]) in wanted:
                raise Refusal(409, "PortInPolicy", f"Port {port['number']} is still in a policy.")
        released = [
            p
            for p in ours["closedPorts"]
            if not p["inPolicy"] and (not wanted or (p["number"], p["protocol"]) in wanted)
        ]
        self._let_go(match[1], released)
        return 200, {
            "released": [{"number": p["number"], "protocol": p["protocol"]} for p in released]
        }

    def _take(self, match: re.Match[str], _: Json, body: Json) -> tuple[int, Json]:
        ours = self._machine(match[1])["properties"]["bascule"]
        wanted = {(p["number"], p["protocol"]) for p in body.get("ports", [])}
        taken = [
            p for p in ours["claimedPorts"] if not wanted or (p["number"], p["protocol"]) in wanted
        ]
        ours["claimedPorts"] = [p for p in ours["claimedPorts"] if p not in taken]
        ours["closedPorts"] += [{**p, "inPolicy": False, "readBack": True} for p in taken]
        return 200, {"taken": [{"number": p["number"], "protocol": p["protocol"]} for p in taken]}

    def _believe(self, match: re.Match[str], _: Json, body: Json) -> tuple[int, Json]:
        point = self._machine(match[1])["properties"]["bascule"]["enforcementPoint"]
        return 200, {"isChanged": bool(point.pop("notBelievedSince", ""))}

    def _let_go(self, machine: str, ports: list[Json]) -> None:
        """Its agent hears of it and opens them, or its host refuses, or it does not answer."""
        ours = self._machine(machine)["properties"]["bascule"]
        does = self.agents.get(machine.rpartition("/")[2], "opens")
        kept = ("number", "protocol", "onExpiry")
        ours["closedPorts"] = [p for p in ours["closedPorts"] if p not in ports]
        if does == "refuses":
            ours["claimedPorts"] = [{key: p[key] for key in kept} for p in ports]
        if ours["enforcementPoint"] is not None:
            ours["enforcementPoint"]["generation"] += 1
            ours["enforcementPoint"]["observedGeneration"] += does != "silent"

    def _enrol(self, match: re.Match[str], _: Json, body: Json) -> tuple[int, Json]:
        command = f"bascule agent run --server {ENDPOINT}"
        return 200, {
            "properties": {
                "token": "bascule-enrol.abc",
                "expiresAt": "2030-01-01T00:15:00Z",
                "machineUid": "u",
                "caFingerprint": "ab" * 32,
                "command": command,
                "installCommand": f"bascule agent install --server {ENDPOINT}"
                + (" --replace" if body.get("replace") else ""),
                **({"bareHostCommand": self.bare} if self.bare else {}),
                "asked": body,
            }
        }

    # -- requests

    def _initiate(self, match: re.Match[str], _: Json, body: Json) -> tuple[int, Json]:
        asked = body["virtualMachines"][0]
        rules = self.policies.get(match[1], {}).get(asked["id"], [])
        problems = []
        for port in asked["ports"]:
            fitting = [r for r in rules if r["number"] == port["number"]]
            if not fitting:
                problems.append(("PortNotInPolicy", f"Port {port['number']} cannot be requested."))
            for each in fitting:
                end = self._end(port)
                if end > CLOCK.now() + parse_duration(each["maxRequestAccessDuration"]) + timedelta(
                    minutes=1
                ):
                    problems.append(
                        (
                            "DurationTooLong",
                            f"Port {port['number']}: at most {each['maxRequestAccessDuration']}.",
                        )
                    )
                if each["bascule"]["justificationRequired"] and not body.get("justification"):
                    problems.append(("JustificationRequired", "The policy wants a reason."))
        if problems:
            raise Refusal(
                400,
                problems[0][0],
                f"The given access request is not allowed by policy: {problems[0][1]}",
                details=[{"code": c, "message": m, "target": ""} for c, m in problems],
            )
        protocol = next(r["protocol"] for r in rules if r["number"] == asked["ports"][0]["number"])
        made = self._make(
            match[1], asked["id"], asked["ports"], body.get("justification", ""), "me", protocol
        )
        return 202, {**made["properties"], "bascule": {"requestId": made["name"]}}

    @staticmethod
    def _end(port: Json) -> datetime:
        if "duration" in port:
            return CLOCK.now() + parse_duration(port["duration"])
        return parse_instant(port["endTimeUtc"])

    def _make(
        self, policy: str, machine: str, asked: list[Json], why: str, requestor: str, protocol: str
    ) -> Json:
        ports = [
            {
                "number": p["number"],
                "protocol": protocol,
                "allowedSourceAddressPrefix": p.get("allowedSourceAddressPrefix", MY_ADDRESS),
                "endTimeUtc": format_utc(self._end(p)),
                "status": "Initiating",
                "statusReason": "UserRequested",
                "bascule": {"grantId": str(uuid.uuid4()), "state": "opening"},
            }
            for p in asked
        ]
        for port in ports if self.public else ():
            port["mappedPort"] = self.public[0]["mappedPort"]
            port["bascule"]["publicPorts"] = self.public
        for port in ports if self.behind else ():
            port["bascule"] |= self.behind
        addresses = self.machines[machine]["properties"]["bascule"]["addresses"]
        made: Json = {
            "name": str(uuid.uuid4()),
            "type": "Bascule.Access/accessRequests",
            "properties": {
                "virtualMachines": [
                    {"id": machine, "ports": ports, "bascule": {"addresses": addresses}}
                ],
                "startTimeUtc": format_utc(CLOCK.now()),
                "requestor": requestor,
                "policyId": policy,
                "requestorId": requestor,
                "endTimeUtc": ports[0]["endTimeUtc"],
                "state": "opening",
            },
        }
        if why:
            made["properties"]["justification"] = why
        self.requests.insert(0, made)
        return made

    @staticmethod
    def _ports(made: Json) -> list[Json]:
        return [
            port for machine in made["properties"]["virtualMachines"] for port in machine["ports"]
        ]

    def _settle(self, made: Json) -> None:
        made["properties"]["state"] = self._ports(made)[0]["bascule"]["state"]

    def _agent_acts(self, made: Json) -> None:
        for machine in made["properties"]["virtualMachines"]:
            does = self.agents.get(machine["id"].rpartition("/")[2], "opens")
            for port in machine["ports"]:
                ours = port["bascule"]
                if ours["state"] == "opening" and does != "silent":
                    ours["state"] = "open" if does == "opens" else "failed"
                    if does == "fails":
                        ours["failure"] = "The machine has no agent."
                elif ours["state"] == "closing" and does != "silent":
                    ours["state"] = "closed"
                    ours["sessionsAlive"] = self.sessions
                    ours["pointLacks"] = self.lacks
        self._settle(made)

    def _find(self, request_id: str) -> Json:
        found = next((r for r in self.requests if r["name"] == request_id), None)
        if found is None:
            raise Refusal(404, "ResourceNotFound", f"Request {request_id} does not exist.")
        return found

    def _get_request(self, match: re.Match[str], query: Json, _: Json) -> tuple[int, Json]:
        made = self._find(match[1])
        if "waitSeconds" in query:
            self._agent_acts(made)
        return 200, made

    def _is_live(self, port: Json) -> bool:
        states = ("opening", "open", "notConfirmed") + (("closing",) if self.shows_closing else ())
        return port["bascule"]["state"] in states

    def _list_requests(self, match: re.Match[str], query: Json, _: Json) -> tuple[int, Json]:
        wanted = query.get("$filter", "")
        machine = re.search(r"machine eq '([^']+)'", wanted)
        found = [
            r
            for r in self.requests
            if ("live eq true" not in wanted or any(self._is_live(p) for p in self._ports(r)))
            and ("requestor eq 'me'" not in wanted or r["properties"]["requestor"] == "me")
            and (
                machine is None
                or any(m["id"] == machine[1] for m in r["properties"]["virtualMachines"])
            )
        ]
        return self._page(match[0], found, query)

    def _revoke(self, match: re.Match[str], _: Json, body: Json) -> tuple[int, Json]:
        made = self._find(match[1])
        for port in self._ports(made):
            is_denied_call = (
                "grantIds" not in body or port["bascule"]["grantId"] in body["grantIds"]
            )
            if is_denied_call and port["bascule"]["state"] in ("opening", "open"):
                port["bascule"]["state"] = "closing"
        self._settle(made)
        return 200, made

    def _extend(self, match: re.Match[str], _: Json, body: Json) -> tuple[int, Json]:
        made = self._find(match[1])
        for port in self._ports(made):
            port["endTimeUtc"] = format_utc(self._end(body))
        return 200, made

    def _policies(self, match: re.Match[str], query: Json, _: Json) -> tuple[int, Json]:
        items = [
            {
                "id": policy,
                "name": policy.rpartition("/")[2],
                "properties": {
                    "virtualMachines": [
                        {"id": machine, "ports": rules} for machine, rules in named.items()
                    ]
                },
            }
            for policy, named in self.policies.items()
        ]
        return self._page(match[0], items, query)

    def _delete_machine(self, match: re.Match[str], *_: Json) -> tuple[int, None]:
        return (200 if self.machines.pop(match[1], None) else 204), None


M = rf"({S}/resourceGroups/[^/]+/providers/Microsoft.Compute/virtualMachines/([^/]+))"
P = rf"({S}/resourceGroups/[^/]+/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/[^/]+)"
A = f"{S}/providers/Bascule.Access/accessRequests"
RULES = f"{M}/providers/Bascule.Access/machineRules/default"
Route = Callable[[FakeServer, re.Match[str], Json, Json], tuple[int, Json | None]]
CHECKPOINT: Json = {
    "properties": {
        "position": 12,
        "hash": "ab" * 32,
        "at": "2030-01-01T00:00:00.0000000Z",
        "keyId": "k",
        "signature": "s",
    }
}
PLAN = f"{S}(?:/resourceGroups/([^/]+))?/providers/Microsoft.Security/pricings/VirtualMachines"
ROUTES: list[tuple[str, str, Route]] = [
    (
        "/subscriptions",
        "GET",
        lambda f, m, q, _: f._page(m[0], [{"subscriptionId": s} for s in f.subscriptions], q),
    ),
    (
        f"{S}/providers/Microsoft.Compute/virtualMachines",
        "GET",
        lambda f, m, q, _: f._page(m[0], f._named(q.get("$filter", "")), q),
    ),
    (M, "GET", lambda f, m, *_: (200, f._machine(m[1]))),
    (M, "PUT", FakeServer._put_machine),
    (M, "DELETE", FakeServer._delete_machine),
    (PLAN, "GET", FakeServer._plan),
    (PLAN, "PUT", FakeServer._put_plan),
    (PLAN, "DELETE", FakeServer._reset_plan),
    (RULES, "GET", FakeServer._rules),
    (RULES, "PUT", FakeServer._put_rules),
    (RULES, "DELETE", FakeServer._delete_rules),
    (f"{RULES}/release", "POST", FakeServer._release),
    (f"{RULES}/take", "POST", FakeServer._take),
    (
        f"{M}/providers/Bascule.Fleet/enforcementPoints/default/believe",
        "POST",
        FakeServer._believe,
    ),
    (f"{M}/providers/Bascule.Fleet/enrolments", "POST", FakeServer._enrol),
    (f"{M}/providers/Bascule.Access/blockedAttempts/default", "GET", FakeServer._knocks),
    (f"{S}/providers/Bascule.Access/blockedAttempts/default", "GET", FakeServer._knocks),
    (f"{S}/providers/Bascule.Identity/me/signOut", "POST", lambda *_: (204, None)),
    (f"{S}/providers/Bascule.Identity/me", "GET", FakeServer._me),
    (f"{S}/providers/Microsoft.Security/jitNetworkAccessPolicies", "GET", FakeServer._policies),
    (f"{P}/initiate", "POST", FakeServer._initiate),
    (A, "GET", FakeServer._list_requests),
    (f"{A}/([^/]+)", "GET", FakeServer._get_request),
    (f"{A}/([^/]+)/revoke", "POST", FakeServer._revoke),
    (f"{A}/([^/]+)/extend", "POST", FakeServer._extend),
    (f"{S}/providers/Bascule.Audit/events", "GET", lambda f, m, q, _: f._page(m[0], f.events, q)),
    (f"{S}/providers/Bascule.Audit/export", "GET", lambda *_: (200, {})),
    (
        f"{S}/providers/Bascule.Audit/key",
        "GET",
        lambda *_: (200, {"properties": {"keyId": "k", "publicKey": "AAAA"}}),
    ),
    (
        f"{S}/providers/Bascule.Audit/verification",
        "POST",
        lambda f, *_: (200, {"properties": f.verification}),
    ),
    (
        f"{S}/providers/Bascule.Audit/checkpoints",
        "GET",
        lambda f, m, q, _: f._page(m[0], [CHECKPOINT, CHECKPOINT], q),
    ),
    (f"{S}/providers/Bascule.Audit/checkpoints", "POST", lambda *_: (200, CHECKPOINT)),
    (
        f"{S}/providers/Bascule.Audit/prune",
        "POST",
        lambda *_: (200, {"properties": {"events": 7, "deletedThrough": {"position": 9}}}),
    ),
]
