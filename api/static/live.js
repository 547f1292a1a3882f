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

  const isElement = (node) => node.nodeType === Node.ELEMENT_NODE;

  // The one of the children from `here` on that `next` is a newer one of. What has no id is told by its kind, class and name.
  function sameAs(next, old, here) {
    if (here && isLike(here, next)) return here;
    if (!isElement(next)) return null;
    if (next.id) return [...old.children].find((child) => isLike(child, next)) ?? null;
    const isSame = (one) => isElement(one) && isLike(one, next) && one.className === next.className && one.getAttribute("aria-label") === next.getAttribute("aria-label");
    let one = here;
    while (one && !isSame(one)) one = one.nextSibling;
    return one;
  }

  function morphChildren(old, fresh) {
    let here = old.firstChild;
    const all = [...fresh.childNodes];
    for (const [number, next] of all.entries()) {
      const found = sameAs(next, old, here);
      if (found === null) { old.insertBefore(next, here); continue; }
      // What stood before it and is no more goes first: a chart that is moved instead would lose the focus.
      const isWanted = (one) => isElement(one) && (one.id || all.slice(number + 1).some((other) => isLike(one, other)));
      if (here && here.compareDocumentPosition(found) & Node.DOCUMENT_POSITION_FOLLOWING) {
        while (here !== found && !isWanted(here)) { const gone = here; here = here.nextSibling; gone.remove(); }
      }
      if (found === here) here = here.nextSibling;
      else old.insertBefore(found, here);
      morph(found, next);
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
