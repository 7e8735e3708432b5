// The stream of hints, shared by all tabs of a browser: HTTP/1.1 allows six connections to a
// server, and a stream a tab would take them all. One tab leads: it holds the lock and the
// stream, and tells the others what it hears. The others wait for the lock, so that the next
// leads as soon as the leading tab goes. A hint says that something changed, never what.
// Where a browser cannot share, a tab listens by itself while it is seen.
// What a page does with a hint: portal.js, by the event bascule:stream.
"use strict";
{
  const NAME = "bascule-live";
  const SILENCE = 40000; // the server says something every 15 seconds
  const LOST_LEADER = 60000; // longer: a leader says within SILENCE that it hears nothing
  const PAUSE = 5000;
  const SHORTEST_WAIT = 2000; // after a refusal; doubled up to the longest
  const LONGEST_WAIT = 60000;

  const url = document.body.dataset.liveUrl;
  const isShared = Boolean(navigator.locks && window.BroadcastChannel);
  let channel = null;
  let queued = null; // stops the waiting for the lock
  let release = null; // gives the lock back; only the leader has it
  let source = null;
  let retry = 0;
  let wait = SHORTEST_WAIT;
  let mark = ""; // of the last change that the stream told
  let heardAt = 0; // when anything was heard: by the leader from the server, else from the leader

  const isLeading = () => !isShared || release !== null;
  const isOpen = () => source?.readyState === EventSource.OPEN;

  function show(kind, of) {
    document.dispatchEvent(new CustomEvent("bascule:stream", { detail: { kind, mark: of, isLeading: isLeading() } }));
  }

  function say(kind) {
    show(kind, mark);
    channel?.postMessage({ kind, mark });
  }

  // -- the leader

  function listen() {
    clearTimeout(retry);
    if (source || !isLeading()) return;
    heardAt = performance.now();
    source = new EventSource(url);
    const own = source;
    for (const kind of ["hello", "change", "beat"]) {
      own.addEventListener(kind, (event) => {
        if (own !== source) return;
        heardAt = performance.now();
        wait = SHORTEST_WAIT;
        mark = event.data || mark;
        say(kind);
      });
    }
    own.addEventListener("error", () => {
      if (own !== source) return;
      const isRefused = own.readyState === EventSource.CLOSED; // the session has ended, mostly
      if (isRefused) {
        source = null;
        retry = setTimeout(listen, wait);
        wait = Math.min(2 * wait, LONGEST_WAIT);
      }
      say(isRefused ? "refused" : "lost");
    });
  }

  function stopListening() {
    clearTimeout(retry);
    source?.close();
    source = null;
  }

  // -- who leads

  async function queue(options) {
    queued?.abort();
    const stop = new AbortController();
    queued = stop;
    try {
      await navigator.locks.request(NAME, options || { signal: stop.signal }, () => {
        const isOver = new Promise((resolve) => {
          release = resolve;
        });
        listen();
        return isOver;
      });
    } catch {
      // Stopped while waiting, or another tab took the lock, as this one had gone silent.
      if (queued !== stop || !release) return;
      release = null;
      stopListening();
      heardAt = performance.now();
      queue();
    }
  }

  function hear({ data }) {
    if (isLeading()) {
      // A page that was just loaded may be of a session that has just begun.
      if (data.kind !== "who") return;
      if (!source) listen();
      else say(isOpen() ? "hello" : "lost");
    } else if (data.kind !== "who") {
      heardAt = performance.now();
      show(data.kind, data.mark);
    }
  }

  function start() {
    heardAt = performance.now();
    if (!isShared) {
      if (!document.hidden) listen();
      return;
    }
    channel = new BroadcastChannel(NAME);
    channel.addEventListener("message", hear);
    channel.postMessage({ kind: "who" });
    queue();
  }

  function stop() {
    stopListening();
    queued?.abort();
    queued = null;
    release?.();
    release = null;
    channel?.close();
    channel = null;
  }

  // A server whose host lost its power ends no stream, and a tab that hangs leads no more. A
  // timer that was held back (a tab in the background, a computer asleep) lets what has come
  // meanwhile be heard before it judges.
  let lookedAt = performance.now();

  function endSilence() {
    const silence = performance.now() - heardAt;
    if (isLeading()) {
      if (!source || silence < SILENCE) return;
      stopListening();
      listen();
      say("lost");
    } else if (!document.hidden && silence >= LOST_LEADER) {
      heardAt = performance.now();
      show("lost", mark);
      queue({ steal: true });
    }
  }

  if (url) {
    setInterval(() => {
      const isLate = performance.now() - lookedAt > 2 * PAUSE;
      lookedAt = performance.now();
      if (isLate) setTimeout(endSilence, 1000);
      else endSilence();
    }, PAUSE);
    document.addEventListener("visibilitychange", () => {
      if (isShared) return;
      if (document.hidden) stopListening();
      else listen();
    });
    window.addEventListener("pagehide", stop);
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) start();
    });
    start();
  }
}
