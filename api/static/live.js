// Keeps the page up to date: one line says how far the runs are, and when the store has changed the parts of the page are swapped for those
// of a newer one (morph.js).
"use strict";

(() => {
  const line = document.getElementById("live");
  if (!line || !window.EventSource) return;
  const said = line.querySelector(".said"), button = line.querySelector("button");
  const LEAST_PAUSE = 1000, RETRY = 2000, STALE = 3000; // milliseconds
  const page = document.body.dataset; // version, of, at
  const own = location.pathname + location.search;
  let told = null, lostAt = null, isPaused = sessionStorage.getItem("paused") === "yes";
  let isLoading = false, isAsked = false, lastLoad = 0;

  const isBehind = () => told !== null && told.version !== null && (page.of === "results" ? told.results : told.version) !== page.version;

  function show() {
    line.hidden = false;
    line.className = lostAt ? "lost" : isPaused ? "paused" : "";
    button.hidden = Boolean(lostAt);
    button.textContent = isPaused ? "go on" : "pause";
    const parts = [];
    if (lostAt) parts.push(`server unreachable since ${clock(lostAt)}, retrying`);
    else {
      parts.push(isPaused ? "paused" : "live");
      if (told && told.problem) parts.push(told.problem);
      else if (told && told.total) parts.push(told.sentence);
      if (told && told.pace) parts.push(told.pace);
      if (page.version && (document.documentElement.dataset.stale !== undefined || (isPaused && isBehind()))) parts.push(`as of ${age()} ago`);
    }
    const text = parts.join(" · ");
    if (said.textContent !== text) said.textContent = text;
  }

  const clock = (time) => `${String(time.getHours()).padStart(2, "0")}:${String(time.getMinutes()).padStart(2, "0")}`;

  function age() {
    const seconds = Math.max(0, Math.round(Date.now() / 1000 - Number(page.at)));
    return seconds < 120 ? `${seconds} s` : seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
  }

  // At most one request at a time, and none while nobody looks.
  function load() {
    if (isPaused || document.hidden || !page.of) return;
    if (isLoading) { isAsked = true; return; }
    isLoading = true;
    setTimeout(async () => {
      try {
        const answer = await fetch(own, { headers: { Accept: "text/html" }, cache: "no-cache" });
        swap(new DOMParser().parseFromString(await answer.text(), "text/html"), answer.status);
      } catch { /* the event stream says when the server is back */ }
      isLoading = false;
      lastLoad = Date.now();
      if (isAsked) { isAsked = false; load(); }
      show();
    }, Math.max(0, lastLoad + LEAST_PAUSE - Date.now()));
  }

  function swap(fresh, status) {
    if (status >= 400 && page.version) return; // a page that was there stays as it was
    if (status === 202 && page.version) { // a server that has begun anew knows no answer yet; this one is the last
      document.documentElement.toggleAttribute("data-stale", true);
      return;
    }
    const scripts = (whole) => [...whole.head.querySelectorAll("script[src]")].map((script) => script.getAttribute("src")).join();
    if (scripts(fresh) !== scripts(document)) { location.reload(); return; } // another kind of page: there was no chart before
    if (isPaused) return;
    Object.assign(page, fresh.body.dataset);
    document.title = fresh.title;
    document.documentElement.toggleAttribute("data-stale", fresh.documentElement.hasAttribute("data-stale"));
    for (const id of ["content", "stale"]) morph(document.getElementById(id), fresh.getElementById(id));
    document.dispatchEvent(new Event("swapped"));
  }

  button.addEventListener("click", () => {
    isPaused = !isPaused;
    sessionStorage.setItem("paused", isPaused ? "yes" : "no");
    show();
    if (isBehind() || document.documentElement.dataset.stale !== undefined) load();
  });
  document.addEventListener("visibilitychange", () => { if (isBehind()) load(); });

  let source = null, retry = 0;

  function listen() {
    clearTimeout(retry);
    source?.close();
    source = new EventSource("/api/v1/events");
    source.addEventListener("progress", ({ data }) => {
      told = JSON.parse(data);
      lostAt = null;
      show();
      if (isBehind()) load();
    });
    source.addEventListener("answered", ({ data }) => { if (JSON.parse(data).link === own) load(); });
    source.addEventListener("open", () => { lostAt = null; show(); });
    source.addEventListener("error", () => {
      lostAt ??= new Date();
      show();
      if (source.readyState === EventSource.CLOSED) retry = setTimeout(listen, RETRY);
    });
  }

  window.addEventListener("pagehide", () => { clearTimeout(retry); source.close(); });
  window.addEventListener("pageshow", ({ persisted }) => { if (persisted) listen(); });
  listen();
  setInterval(() => {
    show();
    if (document.documentElement.dataset.stale !== undefined && Date.now() - lastLoad > STALE && !lostAt) load(); // its event may have come too early
  }, 1000);
  if (document.documentElement.dataset.stale !== undefined) load();
})();
