"""The portal's part of Azure's how-to on just-in-time access: each numbered line is a test.

A class is one of its procedures, done from beginning to end in one window, in English and in
French; its tests are the lines, in their order, and each goes on where the one before ended.
What a page says happened is looked for where it happens: in the policy, in the kernel.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, StorageState, expect

from bascule.domain.net import AddressPrefix, RuleProtocol
from bascule.domain.policy import PortRule
from tests.e2e.lab_world import until
from tests.e2e.portal.portal_world import LANGUAGES, SSH, World
from tests.e2e.portal.steps import Steps, following

pytestmark = [pytest.mark.root, pytest.mark.leak]

RECOMMENDED = ((22, "SSH"), (3389, "RDP"), (5985, "WinRM"), (5986, "WinRM"))
THREE_HOURS = timedelta(hours=3)


@pytest.fixture(scope="class", params=LANGUAGES)
def steps(
    request: pytest.FixtureRequest,
    world: World,
    browser: Browser,
    signed_in: dict[str, StorageState],
) -> Iterator[Steps]:
    with following(world, browser, signed_in, request.param) as found:
        yield found


class TestEnableOnTheJustInTimePage:
    def test_1_the_page_has_the_machines_under_three_tabs(self, steps: Steps) -> None:
        steps.open_jit()
        tabs = steps.page.locator("nav.tabs a")
        names = ("Configured", "Not configured", "Unsupported")
        for tab, name in zip(tabs.all(), names, strict=True):
            expect(tab).to_contain_text(steps.say(name))
        columns = ("Approved requests (7 days)", "Last access", "Connection details", "Last user")
        for name in columns:
            expect(steps.page.get_by_role("columnheader", name=steps.say(name))).to_be_visible()
        expect(steps.row("web-1")).to_be_visible()
        steps.tab("Unsupported")
        expect(steps.row("legacy-1")).to_contain_text("legacy-1 ")

    def test_2_ticked_machines_get_the_recommended_ports_by_save(self, steps: Steps) -> None:
        steps.tab("Not configured")
        steps.tick("db-1")
        steps.enable_ticked()
        for number, service in RECOMMENDED:
            expect(steps.port_row(number)).to_contain_text(service)
        steps.save()
        steps.tab("Configured")
        expect(steps.row("db-1")).to_be_visible()
        assert steps.world.rules("db-1") == [
            PortRule(number, RuleProtocol.TCP, (AddressPrefix(None),), THREE_HOURS)
            for number, _ in RECOMMENDED
        ]

    def test_3_a_port_is_added_and_one_of_the_four_changed(self, steps: Steps) -> None:
        steps.world.configure("db-1")
        steps.open_jit("Not configured")
        steps.tick("db-1")
        steps.enable_ticked()
        row = steps.add_port(8443)
        row.get_by_label(steps.say("Protocol")).select_option("TCP")
        row.get_by_label(steps.say("Max request time")).select_option("PT1H")
        steps.limit_sources(row, "10.203.0.0/24")
        steps.port_row(22).get_by_label(steps.say("Max request time")).select_option("PT30M")

    def test_4_saved(self, steps: Steps) -> None:
        steps.save()
        found = {rule.number: rule for rule in steps.world.rules("db-1")}
        assert set(found) == {22, 3389, 5985, 5986, 8443}
        assert found[8443] == PortRule(
            8443, RuleProtocol.TCP, (AddressPrefix.parse("10.203.0.0/24"),), timedelta(hours=1)
        )
        assert found[22].max_duration == timedelta(minutes=30)
        assert until(lambda: not steps.world.lab.reaches("client", "db-1"))


class TestEdit:
    def test_1_the_page_is_opened(self, steps: Steps) -> None:
        steps.open_jit()

    def test_2_edit_is_in_the_menu_of_a_configured_machine(self, steps: Steps) -> None:
        steps.from_menu("web-1", "Edit")
        steps.pane_headed("JIT VM access configuration")

    def test_3_a_protected_port_is_changed_and_another_added(self, steps: Steps) -> None:
        steps.port_row(22).get_by_label(steps.say("Max request time")).select_option("PT2H")
        steps.add_port(8080)
        expect(steps.pane.locator(".preview")).to_contain_text("8080")

    def test_4_saved(self, steps: Steps) -> None:
        steps.save()
        found = {rule.number: rule.max_duration for rule in steps.world.rules("web-1")}
        assert found == {22: timedelta(hours=2), 8080: THREE_HOURS}


class TestEnableOnTheMachinesPage:
    def test_1_machines_are_searched(self, steps: Steps) -> None:
        steps.page.goto("/portal")
        search = steps.page.get_by_role("searchbox").first
        search.fill("db-1")
        search.press("Enter")

    def test_2_the_machine_is_chosen(self, steps: Steps) -> None:
        steps.page.locator("main").get_by_role("link", name="db-1", exact=True).first.click()
        steps.heading("db-1")

    def test_3_configuration_is_in_its_menu(self, steps: Steps) -> None:
        steps.tab("Configuration")
        expect(
            steps.page.get_by_role("heading", name=steps.say("Just-in-time access"))
        ).to_be_visible()

    def test_4_it_is_enabled_with_the_systems_defaults(self, steps: Steps) -> None:
        steps.button("Enable just-in-time").click()
        table = steps.page.locator("#machine-jit table")
        expect(table).to_contain_text("22")
        assert steps.world.rules("db-1") == [SSH]
        assert until(lambda: not steps.world.lab.reaches("client", "db-1"))

    def test_5_and_changed_on_the_just_in_time_page(self, steps: Steps) -> None:
        steps.open_jit()
        steps.from_menu("db-1", "Edit")
        steps.pane_headed("JIT VM access configuration")
        steps.add_port(3389)
        steps.save()
        assert [rule.number for rule in steps.world.rules("db-1")] == [22, 3389]


class TestRequestOnTheJustInTimePage:
    def test_1_the_tab_of_configured_machines(self, steps: Steps) -> None:
        steps.world.configure("db-1", SSH)
        steps.open_jit()

    def test_2_machines_are_ticked(self, steps: Steps) -> None:
        expect(steps.row("web-1").get_by_role("img")).to_have_count(1)  # what enforces it
        steps.tick("web-1", "db-1")

    def test_3_request_access_opens_its_window(self, steps: Steps) -> None:
        steps.button("Request access").click()
        steps.pane_headed("Request access")

    def test_4_ports_sources_and_time_are_set_for_each(self, steps: Steps) -> None:
        """My IP is the client's address: the browser stands there."""
        for machine in ("web-1", "db-1"):
            row = steps.asked_row(machine, 22)
            row.get_by_role("switch").check()
            row.get_by_label(steps.say("My IP"), exact=True).check()
            expect(row).to_contain_text(steps.world.address("client"))
            row.locator("input[name^=time]").fill("0:30")

    def test_5_the_ports_are_opened(self, steps: Steps) -> None:
        lab = steps.world.lab
        assert not lab.reaches("client", "web-1")
        steps.button("Open ports", steps.pane).click()
        steps.page.wait_for_url("**/portal/requests/*")
        assert until(lambda: lab.reaches("client", "web-1") and lab.reaches("client", "db-1"))
        assert not lab.reaches("stranger", "web-1")
        live = steps.world.live_grants()
        assert {name for name, _ in live} == {"web-1", "db-1"}
        assert {sources for _, sources in live} == {(steps.world.address("client"),)}
        expect(steps.page.locator("main time.left").first).to_be_visible()
        expect(steps.page.locator("main")).to_contain_text("ssh ")


class TestRequestOnTheMachinesConnectPage:
    def test_1_the_machines_page(self, steps: Steps) -> None:
        steps.open_jit("Not configured")
        steps.page.locator("main").get_by_role("link", name="db-1", exact=True).click()
        steps.heading("db-1")

    def test_2_connect_checks_offers_to_enable_and_requests(self, steps: Steps) -> None:
        """Not enabled yet: it offers that first; then one button asks, and one is in."""
        lab = steps.world.lab
        steps.tab("Connect")
        steps.button("Enable just-in-time").click()
        expect(steps.button("Request access")).to_be_visible()
        assert until(lambda: not lab.reaches("client", "db-1"))
        steps.button("Request access").click()
        expect(steps.page.locator("main")).to_contain_text("ssh ")
        assert until(lambda: lab.reaches("client", "db-1"))
        hello = lab.on("client", "ssh", "-4", "-o", "BatchMode=yes", "db-1", "hostname")
        assert hello.stdout.strip() == "db-1"


class TestAudit:
    def test_1_the_tab_of_configured_machines(self, steps: Steps) -> None:
        steps.open_jit()

    def test_2_the_menu_at_the_end_of_the_row(self, steps: Steps) -> None:
        menu = steps.row("web-1").get_by_label(steps.starting_with("More actions"))
        menu.click()
        expect(steps.row("web-1").locator(".sheet")).to_be_visible()
        menu.click()

    def test_3_the_activity_log_is_filtered_to_the_machine(self, steps: Steps) -> None:
        steps.from_menu("web-1", "Activity log")
        steps.heading("web-1")
        rows = steps.page.locator("table.events tbody tr")
        expect(rows.first).to_be_visible()
        expect(rows.filter(has_text="db-1")).to_have_count(0)
        steps.page.get_by_role("link", name=steps.say("Filter, older events")).click()
        expect(steps.page.locator("input[name=machine]")).to_have_value(re.compile("web-1$"))
        expect(rows.filter(has_text="db-1")).to_have_count(0)

    def test_4_downloaded_as_csv_which_is_equal_to_the_table(self, steps: Steps) -> None:
        with steps.page.expect_download() as started:
            steps.page.get_by_role("link", name=steps.say("Download as CSV"), exact=True).click()
        text = started.value.path().read_text(encoding="utf-8")
        in_file = list(csv.DictReader(text.splitlines()))
        shown = list(steps.events())
        assert len(in_file) == len(shown) > 1
        for row, (at, who, address) in zip(in_file, shown, strict=True):
            assert (row["at"], row["actorAddress"]) == (at, address)
            assert row["actor"] in {who, ""}  # nobody has no name, which the page says in words
