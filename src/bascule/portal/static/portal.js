// What makes the pages live: fresh parts, countdowns, local times, the pane, copying.
// Every page works without it. No inline code, no evaluation: the CSP allows this file alone.
"use strict";

const language = () => document.documentElement.lang || "en";
const all = (selector, root = document) => root.querySelectorAll(selector);

// -- times -----------------------------------------------------------------------------------

const serverNow = (html) => Date.parse(/<meta name="server-now" content="([^"]+)"/.exec(html)?.[1]);
let skew = serverNow(document.head.innerHTML) - Date.now() || 0;
const now = () => Date.now() + skew;

// The server wrote its time into a page some time between the asking and now: no more is known,
// and what is within that stays, so that a page that came slowly makes nothing worse.
function setClock(html, askedAt) {
  const at = serverNow(html);
  if (at) skew = Math.min(Math.max(skew, at - Date.now()), at - askedAt);
}

const forms = {
  datetime: { dateStyle: "medium", timeStyle: "short" },
  second: { dateStyle: "medium", timeStyle: "medium" },
  date: { dateStyle: "medium" },
  day: { dateStyle: "full" },
  time: { timeStyle: "short" },
};

function span(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

const relatives = {}; // by language: dear to make, and asked every second

function ago(milliseconds) {
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const seconds = Math.round(milliseconds / 1000);
  const [unit, size] = units.find(([, each]) => Math.abs(seconds) >= each) || units[3];
  relatives[language()] ??= new Intl.RelativeTimeFormat(language(), { numeric: "auto" });
  return relatives[language()].format(Math.trunc(seconds / size), unit);
}

function showTime(each) {
  const at = Date.parse(each.dateTime);
  const form = each.dataset.form;
  let text;
  if (form === "left") text = span(at - now());
  else if (form === "relative") text = ago(at - now());
  else text = new Intl.DateTimeFormat(language(), forms[form]).format(at);
  if (each.textContent !== text) each.textContent = text;
}

// A list by day comes in UTC's days: a heading stands before the first row of each of the viewer's.
function showDays(list) {
  const headings = [...all("tr.day", list)];
  if (!headings.length) return;
  let before = "";
  for (const each of [...list.rows].filter((row) => !row.matches(".day"))) {
    const { dateTime } = each.querySelector("time");
    const day = new Date(dateTime).toDateString();
    if (day === before) continue;
    before = day;
    const heading = headings[0].cloneNode(true);
    heading.querySelector("time").dateTime = dateTime;
    heading.querySelector("time").title = "";
    each.before(heading);
  }
  for (const each of headings) each.remove();
}

function showTimes(root = document) {
  all("tbody[data-by-day]", root).forEach(showDays);
  all("time[data-form]", root).forEach(showTime);
  for (const each of all("[data-zone]", root)) {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if ("value" in each) each.value = zone;
    else each.textContent = zone;
  }
}

// What is left of the access that the page is about, in the tab's title; marked in the last five minutes.
// Other pages have there what ends next of one's own, in those minutes, where the browser tells it (news.js).
const SOON = 300_000;
let ends = [];
let titled = ""; // what stands before the page's own title

function showEnds(found) {
  ends = found;
  showTitle();
}

function showTitle() {
  const bare = titled && document.title.startsWith(titled) ? document.title.slice(titled.length) : document.title;
  const each = document.querySelector('[data-in-title] time[data-form="left"]');
  let left = each ? Date.parse(each.dateTime) - now() : 0;
  let name = "";
  if (!each) {
    const lefts = ends.map((end) => [Date.parse(end.at) - now(), ` ${end.name}`]);
    [left, name] = lefts.filter(([of]) => of > 0 && of < SOON).sort(([of], [other]) => of - other)[0] ?? [0, ""];
  }
  titled = left > 0 ? `${left < SOON ? "\u26a0 " : ""}${span(left)}${name} · ` : "";
  if (document.title !== titled + bare) document.title = titled + bare;
}

// A part that changes by itself at a moment (data-fresh-at) is fetched then, again if it came too early.
let freshenedAt = 0;

function freshen() {
  const isDue = [...all("[data-live][data-fresh-at]")].some((each) => Date.parse(each.dataset.freshAt) <= now());
  if (!isDue || performance.now() - freshenedAt < 5000) return;
  freshenedAt = performance.now();
  refresh();
}

setInterval(() => {
  all('time[data-form="left"], time[data-form="relative"]').forEach(showTime);
  showTitle();
  freshen();
}, 1000);

// -- live parts ------------------------------------------------------------------------------

let isFetching = false;
let isStale = false;
let isBehind = false; // the server could not be asked; whatever the stream says next asks again

// Fetch this page anew and take over the parts marked data-live; what is ticked stays ticked. What is
// marked data-along is taken over with them, and is no reason to fetch.
// The header says that nobody asked for it: an unattended window does not keep its session.
async function refresh() {
  const parts = [...all("[data-live][id]")];
  if (!parts.length && !isRefused) {
    isStale = false;
    isBehind = false;
    setOffline(!isListening());
    return;
  }
  parts.push(...all("[data-along][id]"));
  if (document.hidden) {
    isStale = true;
    return;
  }
  if (isFetching) {
    isStale = true;
    return;
  }
  isFetching = true;
  isStale = false;
  const asked = location.href;
  const askedAt = Date.now();
  const askedAfter = told;
  try {
    const signal = AbortSignal.timeout(15000); // a server without power answers nothing
    const response = await fetch(asked, { headers: { Accept: "text/html", "Bascule-Refresh": "1" }, cache: "no-store", signal });
    if (response.redirected || response.status === 401) {
      leaveSession();
      return;
    }
    const text = await response.text();
    if (location.href !== asked) return;
    if (response.status === 403 || response.status === 404) {
      location.reload(); // this is not the reader's to see any more
      return;
    }
    if (response.status === 405) return; // the answer to a form, which has no address of its own
    if (!response.ok) {
      fallBehind();
      return;
    }
    const fresh = new DOMParser().parseFromString(text, "text/html");
    if (proofOf(fresh) !== proofOf(document)) {
      leaveSession(); // somebody has signed in since: what is shown is of another session
      return;
    }
    isBehind = false;
    setOffline(!isListening());
    setClock(text, askedAt);
    seen = markOf(text);
    fetchedAfter = askedAfter;
    for (const part of parts) {
      const found = fresh.getElementById(part.id);
      if (!found || !part.isConnected) continue;
      for (const box of all("input[type=checkbox]:checked[id]", part)) {
        const twin = fresh.getElementById(box.id);
        if (twin) twin.setAttribute("checked", "");
      }
      for (const menu of all("details[open][id]", part)) fresh.getElementById(menu.id)?.setAttribute("open", "");
      await htmx.swap({ text: found.outerHTML, target: part, swap: "outerMorph" });
    }
    showTimes();
    countTicked();
  } catch {
    fallBehind();
  } finally {
    isFetching = false;
    if (isStale) setTimeout(refreshOnNews, 300);
  }
}

const proofOf = (page) => page.querySelector("input[name=csrf]")?.value;

// A form that is being filled in is not taken away: sent as it is, it comes back after signing in.
function leaveSession() {
  if (!isFilling()) location.reload();
  else for (const note of all("[data-ended]")) note.hidden = false;
}

let filledAt = ""; // the address of the page where something was last filled in

function isFilling() {
  return filledAt === location.href || Boolean(pane()?.open && pane().querySelector("form[method=post]"));
}

document.addEventListener("input", (event) => {
  if (event.target.form?.method === "post") filledAt = location.href;
});

function refreshOnNews() {
  if (isStale && (isBehind || isNews())) refresh();
  else isStale = false;
}

function setOffline(isOffline) {
  const note = document.getElementById("offline");
  if (note) note.hidden = !isOffline;
}

function fallBehind() {
  isBehind = true;
  setOffline(true);
}

// What the stream of hints says (live.js). A mark counts changes: "SERVER'S START.NUMBER". What a
// page was made after is no news to it, so a page that was just loaded is not fetched again.
let isOpen = false; // the stream
let isRefused = false; // the stream: the session has ended, mostly
let told = ""; // the mark of the last change that was told
let seen = markOf(document.head.innerHTML); // the mark that this page was made at, or after
let fetchedAfter = ""; // the mark that was told before the page was fetched again: it is no news

const isListening = () => isOpen || !document.body.dataset.liveUrl;

function markOf(html) {
  return /<meta name="server-now" [^>]*data-changes="([^"]*)"/.exec(html)?.[1] ?? "";
}

function isNews() {
  const [start, number] = told.split(".");
  const [seenStart, seenNumber] = seen.split(".");
  if (told && told === fetchedAfter) return false; // another server may have answered
  return !told || start !== seenStart || Number(number) > Number(seenNumber);
}

document.addEventListener("bascule:stream", ({ detail }) => {
  isOpen = ["hello", "change", "beat"].includes(detail.kind);
  isRefused = detail.kind === "refused";
  told = detail.mark || told;
  setOffline(!isOpen || isBehind);
  if (detail.kind === "change") document.dispatchEvent(new CustomEvent("bascule:change"));
  if (isRefused || (isOpen && (isBehind || isNews()))) refresh();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && isStale) refresh();
});

// -- the pane --------------------------------------------------------------------------------

const pane = () => document.getElementById("pane");
let opener = null;

// In the pane *Cancel* closes it; where it is a page of its own, it is a link that leads on.
document.addEventListener(
  "click",
  (event) => {
    if (!event.target.closest?.("#pane[open] [data-close-pane]")) return;
    event.preventDefault();
    event.stopPropagation();
    pane().close();
  },
  true,
);

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-pane], [data-copy], [data-tick-all]");
  if (!target) {
    if (event.target.id === "pane") pane().close();
    for (const menu of all("details.menu[open], details.burger[open]")) {
      if (!menu.contains(event.target)) menu.removeAttribute("open");
    }
    return;
  }
  if (target.matches("[data-pane]")) {
    const menu = target.closest("details.menu");
    menu?.removeAttribute("open");
    opener = menu?.querySelector("summary") ?? target;
  }
  if (target.matches("[data-copy]")) copy(target);
  if (target.matches("[data-tick-all]")) {
    for (const box of all(target.dataset.tickAll)) box.checked = target.checked;
    countTicked();
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const menu of all("details.menu[open], details.burger[open]")) {
      menu.removeAttribute("open");
      menu.querySelector("summary").focus();
    }
  }
  const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const search = document.querySelector('[data-key="/"]');
    if (search) {
      event.preventDefault();
      search.focus();
    }
  }
});

function afterSwap() {
  const content = document.getElementById("pane-content");
  const dialog = pane();
  if (dialog && content && content.childElementCount && !dialog.open && isPaneWanted) {
    dialog.showModal();
    dialog.addEventListener("close", closePane, { once: true });
    // Going back closes the pane, and does not leave the page.
    history.pushState({ ...history.state, pane: true }, "");
  }
  showTimes();
  countTicked();
  if (!isFetching) focusAfterSwap(); // not because of a live part
  isPaneWanted = false;
  document.dispatchEvent(new CustomEvent("bascule:shown"));
}

// What went wrong first; in the pane the first wrong field else, or the title: the button that was
// pressed is gone, and with it the focus.
function focusAfterSwap() {
  const root = isPaneWanted && pane()?.open ? pane() : document;
  const wanted = root.querySelector("[data-focus]");
  if (wanted) wanted.focus();
  else if (root !== document && !root.contains(document.activeElement?.closest("input, select, textarea, button, a"))) {
    (root.querySelector('[aria-invalid="true"]') ?? root.querySelector("#pane-title"))?.focus();
  }
}

let leaving = ""; // the address of the page whose pane is being closed by going back
let leftAgain = 0; // forgets it

function closePane() {
  document.getElementById("pane-content").replaceChildren();
  if (opener && opener.isConnected) opener.focus();
  opener = null;
  if (history.state?.pane) leavePane(() => history.back());
}

function leavePane(go) {
  leaving = location.href;
  clearTimeout(leftAgain);
  leftAgain = setTimeout(() => {
    leaving = "";
  }, 1000);
  go();
}

window.addEventListener("popstate", () => {
  if (pane()?.open && !history.state?.pane) leavePane(() => pane().close());
});

// htmx would load the page again that is there already.
document.addEventListener("htmx:before:history:restore", (event) => {
  if (leaving === location.href || pane()?.open) event.preventDefault();
});

let isPaneWanted = false;

document.addEventListener("htmx:before:request", (event) => {
  event.detail.ctx.askedAt = Date.now();
});

document.addEventListener("htmx:after:swap", (event) => {
  const ctx = event.detail?.ctx;
  isPaneWanted = Boolean(ctx?.target && ctx.target.id === "pane-content");
  if (ctx?.askedAt) setClock(ctx.text, ctx.askedAt);
  afterSwap();
  if (ctx?.target !== document.body) return;
  seen = markOf(ctx.text);
  fetchedAfter = ""; // that was the page before
  // A page on its way while something changed may have been made before that.
  if (isOpen && isNews()) refresh();
});

document.addEventListener("htmx:after:history:update", () => {
  if (pane()?.open) pane().close();
  window.scrollTo(0, 0);
});

document.addEventListener("htmx:error", fallBehind);

// -- under way -------------------------------------------------------------------------------

// On a slow line a click is seen to have been heard, at once; and a form is sent once.
const underWay = new Set();

function setBusy(form, isBusy) {
  if (form?.tagName !== "FORM" || form.method !== "post") return;
  if (isBusy) form.dataset.busy = "";
  else delete form.dataset.busy;
}

document.addEventListener("htmx:before:request", (event) => {
  const { ctx } = event.detail;
  underWay.add(ctx);
  setBusy(ctx.sourceElement, true);
  document.documentElement.classList.add("under-way");
});

document.addEventListener("htmx:finally:request", (event) => {
  const { ctx } = event.detail;
  underWay.delete(ctx);
  setBusy(ctx.sourceElement, false);
  document.documentElement.classList.toggle("under-way", underWay.size > 0);
});

document.addEventListener(
  "submit",
  (event) => {
    if (!("busy" in event.target.dataset)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  },
  true,
);

document.addEventListener("submit", (event) => {
  if (event.defaultPrevented) return;
  setBusy(event.target, true); // the browser sends it by itself
  setTimeout(setBusy, 5000, event.target, false); // it may have been a file, which leaves the page
});

// -- small things ----------------------------------------------------------------------------

async function copy(button) {
  await navigator.clipboard.writeText(button.dataset.copy);
  const label = button.getAttribute("aria-label");
  button.setAttribute("aria-label", document.body.dataset.copied);
  button.classList.add("done");
  setTimeout(() => {
    button.setAttribute("aria-label", label);
    button.classList.remove("done");
  }, 1500);
}

// Whatever counts ticked boxes: <output data-ticked="SELECTOR">, the words after it
// (data-ticked-words, data-one, data-other), and what is of use with some. Those that other pages
// of the list show count too (filters.js).
function countTicked() {
  const count = (selector) => all(`${selector}:checked`).length + all("#picked-elsewhere input").length;
  for (const each of all("[data-ticked]")) each.textContent = count(each.dataset.ticked);
  const plural = new Intl.PluralRules(language());
  for (const each of all("[data-ticked-words]")) {
    each.textContent = plural.select(count(each.dataset.tickedWords)) === "one" ? each.dataset.one : each.dataset.other;
  }
  for (const each of all("[data-needs-ticked]")) each.disabled = !count(each.dataset.needsTicked);
}

document.addEventListener("bascule:ticked", countTicked);

document.addEventListener("change", (event) => {
  countTicked();
  // A select or box that filters sends its form at once.
  if (event.target.closest("[data-submit-on-change]")) event.target.form.requestSubmit();
});

// A range and the field beside it say the same: data-mirrors="ID".
document.addEventListener("input", (event) => {
  const other = event.target.dataset.mirrors && document.getElementById(event.target.dataset.mirrors);
  if (other) other.value = event.target.value;
});

document.documentElement.classList.add("scripted");
showTimes();
countTicked();
