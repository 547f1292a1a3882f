// The target of the frontier: a line over the chart that is dragged, or moved by arrow keys, and the panel that says what to expect there. Nothing is fitted
// for it: the page has a grid of computes with their words, and what a choice costs at most is fetched once the target rests. And a model
// that is shown before the others, and the zoom, both kept in the address.
"use strict";

(() => {
  const REST_MS = 350;
  const chart = () => document.getElementById("frontier"), plot = () => chart()?.querySelector(".plot");
  const panel = () => document.getElementById("target");
  let grid = [], place = -1, resting = 0;

  const address = () => new URL(location.href);
  const rewrite = (change) => { const url = address(); change(url); history.replaceState(history.state, "", url); };

  function read() {
    const source = document.getElementById("grid");
    grid = source && panel() ? JSON.parse(source.textContent) : [];
    if (!grid.length) return;
    const at = Number(address().searchParams.get("at") || field().defaultValue);
    place = nearest(at);
    // A compute that is not of the grid is as the page has it.
    if (address().searchParams.has("at") && Math.abs(Math.log(grid[place].at / at)) < 1e-9) write(grid[place]);
  }

  const field = () => panel().querySelector("input[name=at]");
  const nearest = (at) => grid.reduce((best, row, number) => (Math.abs(Math.log(row.at / at)) < Math.abs(Math.log(grid[best].at / at)) ? number : best), 0);

  function write(row) {
    for (const out of panel().querySelectorAll("[data-out]:not([data-out=most])")) out.textContent = row[out.dataset.out] || "not known";
    field().value = row.at;
  }

  function keepAndRest(row) {
    panel().querySelector("[data-out=most]").textContent = row.best ? "what it costs at most …" : "";
    rewrite((url) => url.searchParams.set("at", row.at));
    clearTimeout(resting);
    resting = setTimeout(rest, REST_MS);
  }

  // What the choice costs at most takes some hundredths of a second, and what halves the interval seconds: both wait until the target rests.
  async function rest() {
    const asked = grid[place].at, url = new URL(panel().dataset.api, location.href);
    url.searchParams.set("at", asked);
    if (document.getElementById("halve").open) halve();
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(answer.statusText);
      const [{ words }] = (await answer.json()).outlook;
      if (grid[place].at === asked) panel().querySelector("[data-out=most]").textContent = words.most;
    } catch {
      if (grid[place].at === asked) panel().querySelector("[data-out=most]").textContent = "";
    }
  }

  async function halve() {
    const part = document.querySelector("#halve [data-mine]"), asked = field().value;
    const url = new URL(document.getElementById("halve").dataset.path, location.href);
    url.searchParams.set("target", asked);
    if (part.dataset.of === url.href) return;
    part.dataset.of = url.href;
    part.textContent = "Looking for the cheapest way …";
    for (let attempt = 0; attempt < 60 && part.dataset.of === url.href; attempt += 1) {
      const answer = await fetch(url, { headers: { Accept: "text/html" } });
      const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("halving");
      if (found && part.dataset.of === url.href) { part.replaceChildren(...found.childNodes); document.dispatchEvent(new Event("swapped")); return; }
      if (answer.status >= 400) break;
      await new Promise((go) => setTimeout(go, 1000)); // it is being computed
    }
    if (part.dataset.of === url.href) { part.textContent = "No answer came."; delete part.dataset.of; }
  }

  // The line: a slider, so that a screen reader says what it is.
  function makeHandle() {
    const handle = document.createElement("div");
    handle.className = "target-line";
    handle.tabIndex = 0;
    handle.setAttribute("role", "slider");
    handle.setAttribute("aria-label", "Target compute");
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      event.stopPropagation();
      handle.focus();
      handle.setPointerCapture(event.pointerId);
    });
    handle.addEventListener("pointermove", (event) => { if (handle.hasPointerCapture(event.pointerId)) moveTo(valueAt(event.clientX)); });
    handle.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 8, PageDown: -8, Home: -grid.length, End: grid.length }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      move(Math.min(grid.length - 1, Math.max(0, place + step)));
    });
    plot().append(handle);
  }

  const xaxis = () => plot()._fullLayout.xaxis;

  function valueAt(clientX) {
    const axis = xaxis(), pixel = clientX - plot().getBoundingClientRect().left - axis._offset;
    return axis.p2d(Math.min(axis._length, Math.max(0, pixel)));
  }

  const moveTo = (value) => { if (value > 0) move(nearest(value)); };

  function move(to) {
    if (to === place) return;
    place = to;
    write(grid[place]);
    put();
    keepAndRest(grid[place]);
  }

  function put() {
    const handle = plot()?.querySelector(".target-line");
    if (!handle) return;
    handle.hidden = !grid.length;
    if (handle.hidden) return;
    const axis = xaxis(), { yaxis } = plot()._fullLayout, row = grid[place];
    const at = Number(field().value) || row.at, pixel = axis.c2p(axis.d2c(at));
    handle.hidden = !(pixel >= -1 && pixel <= axis._length + 1);
    handle.style.left = `${axis._offset + pixel}px`;
    handle.style.top = `${yaxis._offset}px`;
    handle.style.height = `${yaxis._length}px`;
    handle.setAttribute("aria-valuemin", "0");
    handle.setAttribute("aria-valuemax", String(grid.length - 1));
    handle.setAttribute("aria-valuenow", String(place));
    handle.setAttribute("aria-valuetext", `${row.at}: ${row.value}, ${row.best}`);
  }

  // One model before the others.
  const FADED = 0.12;

  function focus(name) {
    const marked = plot(), { data } = marked;
    for (const link of document.querySelectorAll("[data-focus]")) {
      if (link.dataset.focus === name) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
    }
    const models = new Set([...document.querySelectorAll("[data-focus]")].map((link) => link.dataset.focus));
    const isFaded = (trace) => Boolean(name) && models.has(trace.legendgroup) && trace.legendgroup !== name;
    const changed = data.map((trace, number) => number).filter((number) => (data[number].opacity ?? 1) !== (isFaded(data[number]) ? FADED : 1));
    if (changed.length) Plotly.restyle(marked, { opacity: changed.map((number) => (isFaded(data[number]) ? FADED : 1)) }, changed);
    const before = marked.layout.annotations ?? [];
    const notes = before.map((note) => ({ ...note, opacity: name && models.has(note.name) && note.name !== name ? 0.35 : 1 }));
    if (notes.some(({ opacity }, number) => opacity !== (before[number].opacity ?? 1))) Plotly.relayout(marked, { annotations: notes });
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-focus]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || !plot()?._fullLayout) return;
    event.preventDefault();
    const name = address().searchParams.get("focus") === link.dataset.focus ? null : link.dataset.focus;
    rewrite((url) => (name ? url.searchParams.set("focus", name) : url.searchParams.delete("focus")));
    focus(name);
  });

  // The zoom, as `#zoom=x0,x1,y0,y1` in the units of the axes: a part of the address that no server is asked about.
  const short = (number) => String(Number(number.toPrecision(5)));

  function keepZoom(change) {
    const keys = Object.keys(change);
    if (keys.some((key) => /^[xy]axis\.(auto)?range/.test(key))) rewrite((url) => { url.hash = isWhole() ? "" : hashOf(plot()); });
  }

  // A double click gives the range back that the figure came with; newer points may widen that.
  function isWhole() {
    const { xaxis: x, yaxis: y } = plot()._fullLayout;
    return [x, y].every((axis) => axis.autorange || (axis.range[0] === axis._rangeInitial0 && axis.range[1] === axis._rangeInitial1));
  }

  function hashOf(marked) {
    const { xaxis: x, yaxis: y } = marked._fullLayout;
    return `#zoom=${[...x.range, ...y.range].map((end) => short(Number(end))).join(",")}`;
  }

  function zoomed() {
    const ends = /^#zoom=([-\d.e+,]+)$/.exec(location.hash)?.[1].split(",").map(Number);
    return ends?.length === 4 && ends.every(Number.isFinite) ? { "xaxis.range": ends.slice(0, 2), "yaxis.range": ends.slice(2) } : null;
  }

  // The plot may come long after the page, and its target after the plot: the first runs finish, then there are enough for a law.
  const bound = new WeakSet();

  function bind(marked) {
    if (grid.length && !marked.querySelector(".target-line")) makeHandle();
    if (bound.has(marked)) return;
    bound.add(marked);
    marked.on("plotly_relayout", (change) => { keepZoom(change); put(); });
    marked.on("plotly_afterplot", put);
  }

  // The chart as the reader has it: whoever draws it anew knows neither the target, nor the zoom of the address, nor the model before the others.
  function restore() {
    read();
    if (!chart()?.dataset.drawn) return;
    bind(plot());
    const ends = zoomed();
    if (ends && hashOf(plot()) !== location.hash) Plotly.relayout(plot(), ends);
    focus(address().searchParams.get("focus"));
    put();
  }

  restore();
  document.addEventListener("drawn", ({ target }) => { if (target === chart()) restore(); });
  document.addEventListener("swapped", restore);
  document.addEventListener("toggle", (event) => { if (event.target.id === "halve" && event.target.open) halve(); }, true);
})();
