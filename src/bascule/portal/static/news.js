// Notifications of this browser: what waits for the visitor, what became of their requests, and what
// of their access ends soon. Nothing is asked on load: a button asks (data-tell), and another
// stops it. Of all tabs, the one that holds the stream of hints (live.js) asks the server and shows; a
// piece of news is shown once. A notification leads to a page, and does nothing else.
// What the server tells: pages/news.py. The browser's permission and the choice are both needed, and
// the choice is one person's: whoever signs in here next is told nothing of it, and gets nothing.
"use strict";
{
  const CHOSEN = "bascule-news"; // whose news this browser tells: a principal's id
  const SHOWN = "bascule-news-shown"; // the keys of what was shown, of what the server still tells
  const BETWEEN = 2000; // milliseconds between two questions
  const ANYWAY = 900_000; // without any hint
  const LONGEST = 2 ** 31 - 1; // of a timer

  let isLeading = false;
  let askedAt = -BETWEEN;
  let asking = 0; // the timer of the next question
  let showing = 0; // the timer of the next piece
  let known = { me: "", news: [], ends: [] };
  const channel = window.BroadcastChannel ? new BroadcastChannel(CHOSEN) : null;

  const can = () => window.isSecureContext && "Notification" in window;
  const chosen = () => localStorage.getItem(CHOSEN);
  const isOn = () => can() && Notification.permission === "granted" && Boolean(chosen());

  // -- the choice

  function showChoice() {
    for (const each of document.querySelectorAll("[data-tell]")) {
      let state = "off";
      if (!can()) state = "none";
      else if (Notification.permission === "denied") state = "denied";
      else if (isOn() && chosen() === each.dataset.tell) state = "on";
      each.hidden = false;
      for (const said of each.querySelectorAll("[data-tell-state]")) said.hidden = said.dataset.tellState !== state;
    }
  }

  async function choose(me) {
    if ((await Notification.requestPermission()) === "granted") {
      // What is there already is no news; where the server cannot be asked, it is told later.
      const found = await fetchNews();
      const due = found?.me === me ? found.news.filter(isDue) : [];
      localStorage.setItem(SHOWN, JSON.stringify(due.map(({ key }) => key)));
      localStorage.setItem(CHOSEN, me);
      ask();
    }
    showChoice();
  }

  function choseNot() {
    localStorage.removeItem(CHOSEN);
    localStorage.removeItem(SHOWN);
    know({ me: "", news: [], ends: [] });
    channel?.postMessage({ ends: [] });
    showChoice();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-tell-on], [data-tell-off]");
    if (!button) return;
    if (button.matches("[data-tell-off]")) choseNot();
    else choose(button.closest("[data-tell]").dataset.tell);
  });

  // -- the server

  async function fetchNews() {
    try {
      const signal = AbortSignal.timeout(15000);
      const headers = { Accept: "application/json", "Bascule-Refresh": "1" };
      const response = await fetch("/portal/news", { headers, cache: "no-store", signal });
      return response.ok && !response.redirected ? await response.json() : null;
    } catch {
      return null;
    }
  }

  function ask() {
    clearTimeout(asking);
    if (!isLeading || !isOn()) return;
    const wait = askedAt + BETWEEN - performance.now();
    asking = setTimeout(askNow, Math.max(0, wait));
  }

  async function askNow() {
    askedAt = performance.now();
    asking = setTimeout(ask, ANYWAY);
    const found = await fetchNews();
    if (!found || !isOn()) return; // what is known goes on counting
    know(found.me === chosen() ? found : { me: "", news: [], ends: [] });
  }

  function know(found) {
    known = found;
    showEnds(found.ends);
    channel?.postMessage({ ends: found.ends });
    showDue();
  }

  // -- what is shown

  const isDue = (piece) => Date.parse(piece.at ?? 0) <= now() || !piece.at;
  const isOver = (piece) => piece.until && Date.parse(piece.until) <= now();

  async function showDue() {
    clearTimeout(showing);
    if (!isOn() || known.me !== chosen()) return;
    if (navigator.locks) await navigator.locks.request(SHOWN, showNew);
    else showNew();
    const next = Math.min(...known.news.filter((each) => !isDue(each)).map((each) => Date.parse(each.at)));
    if (next !== Infinity) showing = setTimeout(showDue, Math.min(Math.max(next - now(), 0) + 50, LONGEST));
  }

  function shownBefore() {
    try {
      return new Set(JSON.parse(localStorage.getItem(SHOWN)));
    } catch {
      return new Set();
    }
  }

  function showNew() {
    const before = shownBefore();
    const due = known.news.filter((each) => isDue(each) && !isOver(each));
    for (const each of due) if (!before.has(each.key)) tell(each);
    localStorage.setItem(SHOWN, JSON.stringify(due.map(({ key }) => key)));
  }

  function tell(piece) {
    const at = Date.parse(piece.time ?? "");
    const time = Number.isNaN(at) ? "" : new Intl.DateTimeFormat(language(), whenOf(at)).format(at);
    const put = (text) => text.replace("{time}", () => time);
    try {
      const told = new Notification(put(piece.title), { body: put(piece.text), tag: piece.key, lang: language() });
      told.addEventListener("click", () => {
        told.close();
        window.focus();
        location.assign(piece.path);
      });
    } catch {
      choseNot(); // a browser that only lets service workers tell
    }
  }

  function whenOf(at) {
    const isToday = new Date(at).toDateString() === new Date(now()).toDateString();
    return isToday ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" };
  }

  // -- when

  document.addEventListener("bascule:stream", ({ detail }) => {
    isLeading = detail.isLeading;
    if (["hello", "change"].includes(detail.kind)) ask();
  });
  window.addEventListener("storage", ({ key }) => {
    if (key !== CHOSEN) return;
    showChoice();
    if (isOn()) ask();
    else know({ me: "", news: [], ends: [] });
  });
  channel?.addEventListener("message", ({ data }) => {
    if (data.ends) showEnds(data.ends);
    else if (isLeading) channel.postMessage({ ends: known.ends });
  });
  document.addEventListener("bascule:shown", showChoice);
  channel?.postMessage({});
  showChoice();
}
