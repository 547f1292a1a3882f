// Keeps the page up to date: one line says how far the runs are, and when the store has changed the parts of the page are swapped for those
// of a newer one. What the reader has done stays: zoom, open details, a sorted table, a form that is being filled in.
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
      if (document.documentElement.dataset.stale !== undefined || (isPaused && isBehind())) parts.push(`as of ${age()} ago`);
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
    if (status >= 400) return; // a page that was there stays as it was
    const scripts = (whole) => [...whole.head.querySelectorAll("script[src]")].map((script) => script.getAttribute("src")).join();
    if (scripts(fresh) !== scripts(document)) { location.reload(); return; } // another kind of page: there was no chart before
    if (isPaused) return;
    Object.assign(page, fresh.body.dataset);
    document.title = fresh.title;
    document.documentElement.toggleAttribute("data-stale", fresh.documentElement.hasAttribute("data-stale"));
    for (const id of ["content", "stale"]) morph(document.getElementById(id), fresh.getElementById(id));
    document.dispatchEvent(new Event("swapped"));
  }

  // Makes `old` like `fresh` and touches nothing that is alike already.
  function morph(old, fresh) {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== Node.ELEMENT_NODE) { old.nodeValue = fresh.nodeValue; return; }
    if (old.matches(".plot, [data-mine]")) return;
    if (old.matches("form:not([data-live])") && (isBeingFilledIn(old) || isFilledIn(old))) return;
    if (old.matches("thead") && old.textContent.trim() === fresh.textContent.trim()) return; // its buttons sort
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value && !isReaders(old, name)) old.setAttribute(name, value);
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !isReaders(old, name)) old.removeAttribute(name);
    morphChildren(old, fresh);
  }

  const isReaders = (element, name) => (element.localName === "details" && name === "open") || name === "data-drawn" || name === "data-narrow"
    || (name === "hidden" && element.matches("[data-save], [data-copy]"));

  const isBeingFilledIn = (form) => form.contains(document.activeElement) && document.activeElement.localName !== "button";

  const isFilledIn = (form) => [...form.elements].some((field) => {
    if (field.options) return [...field.options].some((option) => option.selected !== option.defaultSelected) && [...field.options].some((option) => option.defaultSelected);
    if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
    return field.localName === "input" && field.value !== field.defaultValue; // a button has no default value, and nobody fills it in
  });

  const isLike = (one, other) => one.nodeName === other.nodeName && one.id === other.id;

  function morphChildren(old, fresh) {
    let here = old.firstChild;
    for (const next of [...fresh.childNodes]) {
      let found = here;
      if (!(found && isLike(found, next)) && next.id) found = [...old.children].find((child) => isLike(child, next));
      if (found && isLike(found, next)) {
        if (found !== here) old.insertBefore(found, here);
        else here = here.nextSibling;
        morph(found, next);
      } else old.insertBefore(next, here);
    }
    while (here) { const gone = here; here = here.nextSibling; gone.remove(); }
  }

  button.addEventListener("click", () => {
    isPaused = !isPaused;
    sessionStorage.setItem("paused", isPaused ? "yes" : "no");
    show();
    if (isBehind() || document.documentElement.dataset.stale !== undefined) load();
  });
  document.addEventListener("visibilitychange", () => { if (isBehind()) load(); });

  function listen() {
    const source = new EventSource("/api/v1/events");
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
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, RETRY);
    });
    window.addEventListener("pagehide", () => source.close());
    window.addEventListener("pageshow", ({ persisted }) => { if (persisted) listen(); }, { once: true });
  }

  listen();
  setInterval(() => {
    show();
    if (document.documentElement.dataset.stale !== undefined && Date.now() - lastLoad > STALE && !lostAt) load(); // its event may have come too early
  }, 1000);
  if (document.documentElement.dataset.stale !== undefined) load();
})();
