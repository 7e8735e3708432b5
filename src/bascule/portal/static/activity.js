// New events are offered, never thrust under the reader: a link that says how many there are.
"use strict";

{
  let isAsking = false;
  let isAgain = false;

  async function offerNews() {
    const link = document.querySelector("[data-news]");
    if (!link || document.hidden) return;
    if (isAsking) {
      isAgain = true;
      return;
    }
    isAsking = true;
    isAgain = false;
    try {
      const signal = AbortSignal.timeout(15000);
      const response = await fetch(link.dataset.news, { headers: { "Bascule-Refresh": "1" }, cache: "no-store", signal });
      if (!response.ok || response.redirected) return;
      const words = await response.text();
      if (!link.isConnected) return;
      link.textContent = words;
      link.hidden = !words;
    } catch {
      // Without a connection the page says so itself; the next hint asks again.
    } finally {
      isAsking = false;
      if (isAgain) setTimeout(offerNews, 1000);
    }
  }

  document.addEventListener("bascule:change", offerNews);
  document.addEventListener("visibilitychange", offerNews);
}
