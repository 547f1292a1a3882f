// Draws every chart of the page from the figure beside it, in the colours of the page; a click on a run opens it.
"use strict";

(() => {
  const CONFIG = { showSendToCloud: false, displaylogo: false, responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d"] };
  const NARROW_PX = 640;
  const PAPER_PX = 680; // of a page of A4 or Letter between its margins
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // The figure with the page's ink for its neutral text and lines, fitted to the width there is.
  function figureOf(chart) {
    const source = chart.querySelector("script").textContent;
    const themed = source.replaceAll(chart.dataset.neutral, colour("--ink-2")).replaceAll(chart.dataset.faint, colour("--grid"));
    const figure = JSON.parse(themed);
    figure.layout.hoverlabel = { ...figure.layout.hoverlabel, bgcolor: colour("--surface"), bordercolor: colour("--line"), font: { color: colour("--ink") } };
    if (chart.clientWidth < NARROW_PX) narrow(figure, chart.clientWidth);
    return figure;
  }

  function narrow(figure, width) {
    const layout = figure.layout;
    const legend = figure.data.filter((trace) => trace.showlegend !== false).length > 1 && layout.showlegend !== false;
    layout.height = Math.min(layout.height, Math.max(260, Math.round(width)) + (legend ? 60 : 0));
    layout.margin = { ...layout.margin, l: 48, r: 8 };
    layout.font = { ...layout.font, size: 12 };
    if (legend) layout.legend = { ...layout.legend, orientation: "h", x: 0, y: 1.02, xanchor: "left", yanchor: "bottom" };
    for (const note of layout.annotations ?? []) note.xanchor = "right"; // there is no room to the right of a point far right
    for (const [name, axis] of Object.entries(layout)) if (/^[xy]axis/.test(name) && axis.tickvals) thin(axis, name[0] === "x" ? 5 : 8);
  }

  function thin(axis, most) {
    const every = Math.ceil(axis.tickvals.length / most);
    axis.tickvals = axis.tickvals.filter((_, number) => number % every === 0);
    if (axis.ticktext) axis.ticktext = axis.ticktext.filter((_, number) => number % every === 0);
  }

  function draw(chart) {
    const { data, layout } = figureOf(chart);
    chart.dataset.narrow = chart.clientWidth < NARROW_PX;
    return Plotly.react(chart.querySelector(".plot"), data, layout, CONFIG);
  }

  // On white with dark ink, whatever the page looks like: a saved picture goes into a document.
  function save(chart, format) {
    const { data, layout } = JSON.parse(chart.querySelector("script").textContent);
    const size = { width: Math.max(900, chart.clientWidth), height: layout.height };
    Plotly.downloadImage({ data, layout: { ...layout, ...size, paper_bgcolor: "#ffffff" } }, { format, ...size, scale: 2, filename: `scaling-${chart.id}` });
  }

  // On paper: dark ink on white, whatever the screen has, and no wider than the page.
  function drawForPaper(chart) {
    const { data, layout } = JSON.parse(chart.querySelector("script").textContent);
    return Plotly.react(chart.querySelector(".plot"), data, { ...layout, width: PAPER_PX }, CONFIG);
  }

  function bind(chart) {
    chart.querySelector(".plot").on("plotly_click", ({ points }) => {
      const run = points[0] && points[0].customdata;
      if (run) window.location.assign(chart.dataset.runs + encodeURIComponent(run));
    });
    const saves = chart.querySelector(".saves");
    if (saves) {
      saves.hidden = false;
      saves.addEventListener("click", ({ target }) => target.dataset.save && save(chart, target.dataset.save));
    }
  }

  const charts = [...document.querySelectorAll(".chart")];
  charts.forEach((chart) => draw(chart).then(() => { bind(chart); chart.dataset.drawn = "yes"; }));
  window.addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details")) part.open = true;
    charts.forEach(drawForPaper);
  });
  window.addEventListener("afterprint", () => charts.forEach(draw));
  dark.addEventListener("change", () => charts.forEach(draw));
  window.addEventListener("resize", () => charts.filter((chart) => String(chart.clientWidth < NARROW_PX) !== chart.dataset.narrow).forEach(draw));
})();
