"""Somebody who follows the how-to: one window, one language, whatever the page's words are in it.

The words are Azure's, English and French, and stand here once more so that the tests do not take
them from the portal that they examine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Locator, Page, StorageState, expect

from tests.e2e.portal.portal_world import PATIENCE, SERVER, Visitors, World

FRENCH = {
    "Activity log": "Journal d’activité",
    "Add": "Ajouter",
    "Allowed source IPs": "Adresses IP sources autorisées",
    "Approved requests (7 days)": "Demandes approuvées (7 jours)",
    "Configuration": "Configuration",
    "Configured": "Configuré",
    "Connect": "Se connecter",
    "Connection details": "Détails de la connexion",
    "Download as CSV": "Télécharger au format CSV",
    "Edit": "Modifier",
    "Enable JIT on 1 VM": "Activer l’accès JAT sur 1 machine virtuelle",
    "Enable just-in-time": "Activer l’accès juste-à-temps",
    "Filter, older events": "Filtrer, événements plus anciens",
    "IP range": "Plage d’adresses IP",
    "JIT VM access configuration": "Configuration de l’accès JAT aux machines virtuelles",
    "Just-in-time VM access": "Accès juste-à-temps aux machines virtuelles",
    "Just-in-time access": "Accès juste-à-temps",
    "Last access": "Dernier accès",
    "Last user": "Dernier utilisateur",
    "Max request time": "Durée maximale de la demande",
    "More actions": "Autres actions",
    "My IP": "Mon IP",
    "Not configured": "Non configuré",
    "OK": "OK",
    "Open ports": "Ouvrir les ports",
    "Protocol": "Protocole",
    "Request access": "Demander l’accès",
    "Save": "Enregistrer",
    "Select": "Sélectionner",
    "Unsupported": "Non pris en charge",
    "Virtual machine": "Machine virtuelle",
    "Virtual machines": "Machines virtuelles",
}


class Steps:
    def __init__(self, page: Page, language: str, world: World) -> None:
        self.page = page
        self.language = language
        self.world = world

    def say(self, english: str) -> str:
        return FRENCH[english] if self.language == "fr" else english

    def starting_with(self, english: str) -> re.Pattern[str]:
        return re.compile(f"^{re.escape(self.say(english))}")

    # -- the page Just-in-time VM access

    def open_jit(self, tab: str = "Configured") -> None:
        """From wherever one is, by the navigation, to one of its tabs."""
        if not self.page.url.startswith(SERVER):
            self.page.goto("/portal")
        side = self.page.locator("nav.side")
        side.get_by_role("link", name=self.say("Just-in-time access"), exact=True).click()
        self.heading(self.say("Just-in-time VM access"))
        self.tab(tab)

    def tab(self, name: str) -> None:
        link = self.page.locator("nav.tabs").get_by_role("link", name=self.starting_with(name))
        if link.get_attribute("aria-current") == "page":
            return  # a click would load the page again, under whatever is done next
        link.click()
        expect(link).to_have_attribute("aria-current", "page")

    def heading(self, name: str) -> None:
        expect(self.page.get_by_role("heading", level=1, name=name)).to_be_visible()

    def row(self, machine: str) -> Locator:
        return self.page.locator("tbody tr").filter(
            has=self.page.get_by_role("link", name=machine, exact=True)
        )

    def tick(self, *machines: str) -> None:
        for machine in machines:
            self.page.get_by_label(f"{self.say('Select')} {machine}", exact=True).check()

    def from_menu(self, machine: str, entry: str) -> None:
        """The menu at the end of the machine's row."""
        row = self.row(machine)
        row.get_by_label(self.starting_with("More actions")).click()
        row.get_by_role("link", name=self.say(entry), exact=True).click()

    def button(self, name: str, within: Locator | None = None) -> Locator:
        return (within or self.page.locator("main")).get_by_role(
            "button", name=self.say(name), exact=True
        )

    def enable_ticked(self) -> None:
        button = self.button("Enable JIT on 1 VM")
        button.click()
        self.pane_headed("JIT VM access configuration")

    def events(self) -> Iterator[tuple[str, str, str]]:
        """When, who and where from, of all events that the activity log shows, page for page."""
        while True:
            for row in self.page.locator("table.events tbody tr").all():
                at = row.locator("td time").first.get_attribute("datetime") or ""
                cells = [each.inner_text().strip() for each in row.locator("td").all()]
                yield at, cells[3], cells[4].replace("—", "")
            following = self.page.locator("nav.pager a[rel=next]")
            if not following.count():
                return
            following.click()
            self.page.wait_for_load_state()

    # -- the pane at the side

    @property
    def pane(self) -> Locator:
        return self.page.locator("#pane[open]")

    def pane_headed(self, name: str) -> None:
        expect(self.pane.get_by_role("heading", level=1, name=self.say(name))).to_be_visible()

    def save(self) -> None:
        self.button("Save", self.pane).last.click()
        expect(self.pane).to_be_hidden()

    def port_row(self, number: int) -> Locator:
        """What the configuration says of one port."""
        named = self.page.locator("legend").filter(has_text=re.compile(rf"\b{number}\b"))
        return self.pane.locator("fieldset.port-row").filter(has=named)

    def add_port(self, number: int) -> Locator:
        rows = self.pane.locator("fieldset.port-row")
        before = rows.count()
        self.pane.get_by_role("button", name=self.starting_with("Add")).click()
        expect(rows).to_have_count(before + 1)
        typed = rows.last.locator("input[name$='.number']")
        typed.fill(str(number))
        typed.press("Tab")
        return rows.last

    def limit_sources(self, row: Locator, ranges: str) -> None:
        row.locator("input[value=list]").check(force=True)
        row.locator("input[name$='.sources']").fill(ranges)

    def asked_row(self, machine: str, number: int) -> Locator:
        """What a request says of one port of one machine."""
        ports = self.pane.locator("section.asked").filter(
            has=self.page.get_by_role("heading", name=re.compile(f"^{machine}"))
        )
        return ports.locator("tbody tr").filter(
            has=self.page.get_by_role("rowheader", name=re.compile(f"^{number}"))
        )


@contextmanager
def following(
    world: World, browser: Browser, signed_in: dict[str, StorageState], language: str
) -> Iterator[Steps]:
    """A window that stays open from one step to the next; the machines as they came up."""
    world.reset()

    def new(**options: object) -> object:
        return browser.new_context(base_url=SERVER, accept_downloads=True, **options)  # type: ignore[arg-type]  # reason: as Visitors gives them

    visitors = Visitors(world, signed_in, new)  # type: ignore[arg-type]  # reason: as above
    page = visitors("owner", language)
    page.set_default_timeout(PATIENCE)
    try:
        yield Steps(page, language, world)
    finally:
        page.context.close()
    assert visitors.complaints == []
