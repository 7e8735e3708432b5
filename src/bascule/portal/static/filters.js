// Lists are filtered as one types, and what is ticked stays ticked over filters and pages.
// Without this a form is sent, and only what a page shows is ticked.
"use strict";
{
  const PAUSE = 250; // after the last key
  let typing = 0;
  let latest = 0;

  function addressOf(form) {
    const to = new URL(form.action);
    for (const [name, value] of new FormData(form)) if (value) to.searchParams.append(name, value);
    return to.href;
  }

  // Take over the parts marked data-results; the field that is typed into stays as it is.
  async function filter(form) {
    const to = addressOf(form);
    latest += 1;
    const own = latest;
    document.documentElement.classList.add("under-way");
    try {
      const signal = AbortSignal.timeout(15000);
      const response = await fetch(to, { headers: { Accept: "text/html" }, cache: "no-store", signal });
      if (own !== latest) return;
      if (response.redirected || !response.ok) {
        form.requestSubmit(); // the page itself says what it is
        return;
      }
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      if (own !== latest || !form.isConnected) return;
      for (const part of document.querySelectorAll("[data-results][id]")) {
        const found = fresh.getElementById(part.id);
        if (found) await htmx.swap({ text: found.outerHTML, target: part, swap: "outerMorph" });
      }
      history.replaceState(history.state, "", to);
      for (const clear of form.querySelectorAll(".clear")) clear.hidden = !fresh.querySelector(".filters .clear:not([hidden])");
    } catch {
      // Without a connection the page says so itself; the next key asks again.
    } finally {
      if (own === latest) document.documentElement.classList.remove("under-way");
    }
  }

  document.addEventListener("input", (event) => {
    const { form, type } = event.target;
    if (type !== "search" || form?.method !== "get" || !form.closest("main")) return;
    if (!document.querySelector("[data-results]")) return; // its filters want whole words
    clearTimeout(typing);
    typing = setTimeout(filter, PAUSE, form);
  });

  // A form that is sent by itself overtakes what was typed before.
  document.addEventListener("submit", () => {
    clearTimeout(typing);
    latest += 1;
  });

  // -- what is ticked --------------------------------------------------------------------------

  const picked = new Set();
  let list = ""; // whose they are

  const boxes = () => document.querySelectorAll("input[type=checkbox][name=machine][form=picked]");
  const listOf = () => `${location.pathname} ${new URLSearchParams(location.search).get("tab") || "configured"}`;

  document.addEventListener("change", (event) => {
    const box = event.target;
    const all = box.dataset?.tickAll ? boxes() : box.matches("[name=machine][form=picked]") ? [box] : [];
    for (const each of all) {
      if (box.checked) picked.add(each.value);
      else picked.delete(each.value);
    }
    if (all.length) show();
  });

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-unpick]")) return;
    picked.clear();
    for (const box of boxes()) box.checked = false;
    show();
  });

  // Those that this page does not show are sent with the others.
  function show() {
    const place = document.getElementById("picked-elsewhere");
    if (!place) return;
    const here = new Set();
    for (const box of boxes()) {
      here.add(box.value);
      box.checked = picked.has(box.value);
    }
    const others = [...picked].filter((each) => !here.has(each));
    place.replaceChildren(
      ...others.map((value) => Object.assign(document.createElement("input"), { type: "hidden", name: "machine", value })),
    );
    document.dispatchEvent(new CustomEvent("bascule:ticked"));
  }

  document.addEventListener("bascule:shown", () => {
    const now = listOf();
    // After an act, and on another list, nothing is ticked any more.
    if (now !== list || new URLSearchParams(location.search).has("notice")) picked.clear();
    list = now;
    for (const box of boxes()) if (box.defaultChecked) picked.add(box.value);
    show();
  });

  list = listOf();
}
