// A click on the head of a column sorts the rows by it: numbers by `data-value`, rows without one last, a second click the other way.
"use strict";

(() => {
  const ASCENDING = "ascending", DESCENDING = "descending";
  const headsOf = (table) => [...table.tHead.rows[0].cells];

  function sort(table, column, order) {
    const body = table.tBodies[0], direction = order === ASCENDING ? 1 : -1;
    const keyed = [...body.rows].map((row) => [keyOf(row.cells[column]), row]);
    keyed.sort(([a], [b]) => {
      if (a.isMissing || b.isMissing) return Number(a.isMissing) - Number(b.isMissing);
      const areNumbers = Number.isFinite(a.number) && Number.isFinite(b.number);
      return direction * (areNumbers ? a.number - b.number : a.text.localeCompare(b.text));
    });
    body.append(...keyed.map(([, row]) => row));
  }

  function keyOf(cell) {
    const text = cell.dataset.value ?? cell.textContent.trim();
    return { isMissing: text === "" || text === "None" || text === "–", number: text === "" ? NaN : Number(text), text };
  }

  function addButtons(table) {
    const heads = headsOf(table);
    heads.forEach((head, column) => {
      if (!head.textContent.trim() || head.querySelector("button")) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const order = head.getAttribute("aria-sort") === ASCENDING ? DESCENDING : ASCENDING;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", order);
        sort(table, column, order);
      });
    });
  }

  // The rows of a newer page come as the server orders them.
  function restoreOrder(table) {
    headsOf(table).forEach((head, column) => { if (head.hasAttribute("aria-sort")) sort(table, column, head.getAttribute("aria-sort")); });
  }

  const tables = () => document.querySelectorAll("table[data-sortable]");
  tables().forEach(addButtons);
  document.addEventListener("swapped", () => tables().forEach((table) => { addButtons(table); restoreOrder(table); }));
})();
