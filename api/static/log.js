// Follows the end of a run's log while it trains. The page itself is swapped when the store has changed, and a line that is printed changes no store.
"use strict";

(() => {
  const PAUSE = 2000; // milliseconds

  async function look(log) {
    const answer = await fetch(log.dataset.follow, { cache: "no-store" });
    if (!answer.ok) return;
    const text = await answer.text();
    if (text === log.textContent) return;
    const isAtEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
    log.textContent = text;
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  }

  async function follow() {
    const log = document.querySelector("#log[data-follow]");
    if (log && !document.hidden && sessionStorage.getItem("paused") !== "yes") {
      try { await look(log); } catch { /* live.js says when the server is away */ }
    }
    setTimeout(follow, PAUSE);
  }

  setTimeout(follow, PAUSE);
})();
