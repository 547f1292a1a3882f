// Draws every chart of the page from the figure beside it, in the colours of the page; a click on a run opens it. When the figure beside it
// has changed, the chart is drawn anew with its zoom kept, and the points that are new pulse. The arrow keys go from point to point.
// Each time a chart has been drawn its event `drawn` says so.
"use strict";

(() => {
  const CONFIG = { showSendToCloud: false, displaylogo: false, responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d"] };
  const NARROW_PX = 640;
  const LETTER_PX = 7.2; // of the name of an axis, about
  const PULSE_MS = 4000;
  const PAPER_PX = 680; // of a page of A4 or Letter between its margins
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // The figures of a large page come after it, each by its own address.
  const sources = new WeakMap();
  const addressOf = (chart) => chart.querySelector("script").dataset.src;
  const sourceOf = (chart) => sources.get(chart) ?? chart.querySelector("script").textContent;

  async function fetched(chart) {
    const address = addressOf(chart);
    if (!address) { sources.delete(chart); return; }
    const answer = await fetch(address);
    if (answer.ok) sources.set(chart, await answer.text());
  }

  // The figure with the page's ink for its neutral text and lines, fitted to the width there is.
  function figureOf(chart) {
    const themed = sourceOf(chart).replaceAll(chart.dataset.neutral, colour("--ink-2")).replaceAll(chart.dataset.faint, colour("--grid"));
    const figure = JSON.parse(themed);
    figure.layout.hoverlabel = { ...figure.layout.hoverlabel, bgcolor: colour("--surface"), bordercolor: colour("--line"), font: { color: colour("--ink") } };
    if (chart.clientWidth < NARROW_PX) narrow(figure, chart.clientWidth);
    return figure;
  }

  function narrow(figure, width) {
    const layout = figure.layout;
    const isNamed = layout.meta?.legend === "narrow"; // names at the ends of lines, for which there is no room now
    if (isNamed) {
      layout.showlegend = true;
      layout.annotations = (layout.annotations ?? []).filter((note) => !note.name);
    }
    const legend = figure.data.filter((trace) => trace.showlegend !== false).length > 1 && layout.showlegend !== false;
    layout.height = Math.min(layout.height, Math.max(260, Math.round(width)) + (legend ? 60 : 0));
    layout.margin = { ...layout.margin, l: 48, r: 8 };
    layout.font = { ...layout.font, size: 12 };
    if (legend) layout.legend = { ...layout.legend, orientation: "h", x: 0, y: 1.02, xanchor: "left", yanchor: "bottom" };
    if (isNamed) {
      const rows = Math.ceil(figure.data.filter((trace) => trace.showlegend !== false).length / 2);
      layout.legend = { ...layout.legend, y: -0.22, yanchor: "top", font: { size: 11 } };
      layout.height += 20 * rows - 40;
      layout.margin.b = 60 + 20 * rows;
    }
    for (const note of layout.annotations ?? []) note.xanchor = "right"; // there is no room to the right of a point far right
    for (const [name, axis] of Object.entries(layout)) {
      if (!/^[xy]axis/.test(name)) continue;
      if (axis.tickvals) thin(axis, name[0] === "x" ? 5 : 8);
      const along = name[0] === "x" ? width - 60 : (layout.height - 120) * ((axis.domain?.[1] ?? 1) - (axis.domain?.[0] ?? 0));
      if (axis.title?.text) axis.title.text = wrapped(axis.title.text, Math.floor(along / LETTER_PX));
    }
  }

  // The name of an axis that is longer than it, in two lines of about one length.
  function wrapped(text, most) {
    if (text.length <= most || text.includes("<")) return text;
    const spaces = [...text.matchAll(/ /g)].map(({ index }) => index);
    const middle = spaces.sort((one, other) => Math.abs(one - text.length / 2) - Math.abs(other - text.length / 2))[0];
    return middle === undefined ? text : `${text.slice(0, middle)}<br>${text.slice(middle + 1)}`;
  }

  function thin(axis, most) {
    const every = Math.ceil(axis.tickvals.length / most);
    axis.tickvals = axis.tickvals.filter((_, number) => number % every === 0);
    if (axis.ticktext) axis.ticktext = axis.ticktext.filter((_, number) => number % every === 0);
  }

  async function draw(chart) {
    const { data, layout } = figureOf(chart);
    const plot = chart.querySelector(".plot"), whole = rangesOf(layout);
    keepZoom(plot, layout);
    chart.dataset.narrow = chart.clientWidth < NARROW_PX;
    plot.style.height = `${layout.height}px`; // a resized plot takes its height from here, and forgets that of the layout
    const done = Plotly.react(plot, data, layout, CONFIG);
    for (const [axis, [low, high]] of whole) Object.assign(plot._fullLayout[axis], { _rangeInitial0: low, _rangeInitial1: high }); // what a double click gives back
    await done;
    chart.dataset.drawn = "yes";
    chart.dispatchEvent(new Event("drawn", { bubbles: true }));
  }

  const rangesOf = (layout) => Object.entries(layout).filter(([name, part]) => /^[xy]axis/.test(name) && part.range).map(([name, { range }]) => [name, [...range]]);

  // plotly.js keeps a zoom only where the range that it was given before is given again, and new points widen it: tell it that this was so.
  function keepZoom(plot, layout) {
    const before = plot._fullLayout?._preGUI;
    if (!before || plot.layout.uirevision !== layout.uirevision) return;
    for (const key of Object.keys(before)) {
      const [, axis, end] = /^([xy]axis\d*)\.range\[([01])\]$/.exec(key) ?? [];
      const { range, [`_rangeInitial${end}`]: whole } = plot._fullLayout[axis] ?? {};
      if (layout[axis]?.range && range[end] !== whole) before[key] = layout[axis].range[end];
    }
  }

  // On white with dark ink, whatever the page looks like: a saved picture goes into a document. So it says what it is, and of when.
  const INK = "#4a4e53", HEAD_PX = 64;

  function save(chart, format) {
    const { data, layout } = JSON.parse(sourceOf(chart).replaceAll(chart.dataset.neutral, INK));
    const { title, subtitle } = chart.dataset;
    const day = new Date().toISOString().slice(0, 10);
    const said = [subtitle, document.querySelector("footer")?.dataset.store, day].filter(Boolean).join(" · ");
    const size = { width: Math.max(900, chart.clientWidth), height: layout.height + HEAD_PX };
    const drawn = {
      ...layout, ...size, paper_bgcolor: "#ffffff", uirevision: undefined,
      margin: { ...layout.margin, t: (layout.margin?.t ?? 24) + HEAD_PX },
      title: { text: plain(title), subtitle: { text: plain(said), font: { size: 12, color: INK } }, x: 0.02, xanchor: "left", y: 0.98, yanchor: "top", font: { size: 17, color: "#1c1e21" } },
    };
    Plotly.downloadImage({ data, layout: drawn }, { format, ...size, scale: 2, filename: `scaling-${chart.id}` });
  }

  // plotly.js takes tags in a text as such.
  const plain = (text) => String(text ?? "").replaceAll("&", "&amp;").replaceAll("<", "&lt;");

  // On paper: dark ink on white, whatever the screen has, and no wider than the page.
  function drawForPaper(chart) {
    const { data, layout } = JSON.parse(sourceOf(chart));
    return Plotly.react(chart.querySelector(".plot"), data, { ...layout, width: PAPER_PX }, CONFIG);
  }

  function bind(chart) {
    chart.querySelector(".plot").on("plotly_click", ({ points }) => {
      const run = points[0] && points[0].customdata;
      if (run) window.location.assign(chart.dataset.runs + encodeURIComponent(run));
    });
    const saves = chart.querySelector(".saves");
    bindKeys(chart);
    if (saves) {
      for (const button of saves.querySelectorAll("[data-save]")) button.hidden = false;
      saves.addEventListener("click", ({ target }) => target.dataset.save && save(chart, target.dataset.save));
    }
  }

  // The arrow keys go from point to point in the order of x, Enter opens the point's run. What the pointer would show is shown and said.
  function bindKeys(chart) {
    const plot = chart.querySelector(".plot"), said = document.createElement("p");
    said.className = "unseen";
    said.setAttribute("aria-live", "polite");
    plot.append(said);
    plot.tabIndex = 0;
    plot.setAttribute("role", "group");
    plot.setAttribute("aria-label", `${chart.getAttribute("aria-label")}. Arrow keys go from point to point, Enter opens a run.`);
    let place = -1;
    plot.addEventListener("keydown", (event) => {
      if (event.target !== plot) return;
      const points = pointsOf(plot), step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (event.key === "Enter" && points[place]?.run) window.location.assign(chart.dataset.runs + encodeURIComponent(points[place].run));
      if (!points.length || (step === undefined && event.key !== "Home" && event.key !== "End")) return;
      event.preventDefault();
      const next = place < 0 && step < 0 ? points.length - 1 : place + (step ?? 0);
      place = event.key === "Home" ? 0 : event.key === "End" ? points.length - 1 : Math.min(points.length - 1, Math.max(0, next));
      const { curveNumber, pointNumber, text, subplot } = points[place];
      Plotly.Fx.hover(plot, [{ curveNumber, pointNumber }], subplot);
      said.textContent = text.replaceAll(/<br>/g, ", ").replaceAll(/<[^>]*>/g, "");
    });
    plot.addEventListener("blur", () => Plotly.Fx.unhover(plot));
  }

  // The marked points: cells where there are such, before the single runs that they are of. Where none is marked, those of the lines.
  function pointsOf(plot) {
    const said = (plot._fullData ?? []).filter((trace) => trace.visible === true && trace.hoverinfo !== "skip" && (trace.opacity ?? 1) > 0.5);
    const marked = said.filter((trace) => /markers/.test(trace.mode ?? "")), traces = marked.length ? marked : said;
    const large = traces.filter((trace) => !/, single runs$/.test(trace.name ?? ""));
    return (large.length ? large : traces).flatMap((trace) => [...trace.x].map((x, pointNumber) => ({
      x: Number(x), curveNumber: trace.index, pointNumber, run: trace.customdata?.[pointNumber],
      subplot: trace.xaxis + trace.yaxis, text: textOf(trace, pointNumber),
    }))).filter(({ text }) => text).sort((one, other) => one.x - other.x);
  }

  function textOf(trace, number) {
    const text = Array.isArray(trace.hovertext) ? trace.hovertext[number] : trace.hovertext;
    return text || `${trace.name ?? ""}: ${trace.x[number]}, ${trace.y[number]}`;
  }

  // What a chart was drawn from, and so what is new when it changes.
  const drawn = new WeakMap();

  const runsOf = (plot) => (plot._fullData ?? []).flatMap((trace) => [...(trace.customdata ?? [])]);

  async function refresh(chart) {
    const source = addressOf(chart) ?? chart.querySelector("script").textContent, plot = chart.querySelector(".plot");
    if (drawn.get(chart) === source) return;
    const isFirst = !drawn.has(chart), before = new Set(runsOf(plot));
    drawn.set(chart, source);
    await fetched(chart);
    if (drawn.get(chart) !== source || !sourceOf(chart)) return; // a newer one is on its way
    await draw(chart);
    if (isFirst) bind(chart);
    else if (before.size) pulse(plot, before);
  }

  // A ring around each point whose run was not there before. The style sheet keeps it still for those who want no motion.
  function pulse(plot, before) {
    for (const trace of plot._fullData) {
      const { xaxis, yaxis } = { xaxis: plot._fullLayout[axisName(trace.xaxis)], yaxis: plot._fullLayout[axisName(trace.yaxis)] };
      [...(trace.customdata ?? [])].forEach((run, number) => {
        if (!run || before.has(run) || trace.visible !== true) return;
        const left = xaxis._offset + xaxis.c2p(xaxis.d2c(trace.x[number])), top = yaxis._offset + yaxis.c2p(yaxis.d2c(trace.y[number]));
        const isInside = left >= xaxis._offset && left <= xaxis._offset + xaxis._length && top >= yaxis._offset && top <= yaxis._offset + yaxis._length;
        if (!isInside) return;
        const ring = document.createElement("span");
        ring.className = "pulse";
        ring.style.left = `${left}px`;
        ring.style.top = `${top}px`;
        plot.append(ring);
        setTimeout(() => ring.remove(), PULSE_MS);
      });
    }
  }

  const axisName = (short) => `${short[0]}axis${short.slice(1)}`;

  const charts = () => [...document.querySelectorAll(".chart")];
  const shown = () => charts().filter((chart) => chart.dataset.drawn);
  charts().forEach(refresh);
  document.addEventListener("swapped", () => charts().forEach(refresh));
  window.addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details")) part.open = true;
    shown().forEach(drawForPaper);
  });
  window.addEventListener("afterprint", () => shown().forEach(draw));
  dark.addEventListener("change", () => shown().forEach(draw));
  window.addEventListener("resize", () => shown().filter((chart) => String(chart.clientWidth < NARROW_PX) !== chart.dataset.narrow).forEach(draw));
})();
