// A click on the head of a column sorts the rows by it: numbers by `data-value`, rows without one last, a second click the other way.
"use strict";

function bindTable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (head.hasAttribute("aria-sort")) sort(table.tBodies[0], column, head.getAttribute("aria-sort") === "ascending" ? 1 : -1);
    if (!head.textContent.trim() || head.querySelector("button")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      sort(table.tBodies[0], column, down ? -1 : 1);
    });
  });
}

const bindTables = () => document.querySelectorAll("table[data-sortable]").forEach(bindTable);
bindTables();
document.addEventListener("swapped", bindTables); // the rows of a newer page come as the server orders them

function sort(body, column, direction) {
  const key = (row) => {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    const number = text === "" ? NaN : Number(text);
    return { missing: text === "" || text === "None" || text === "–", number, text };
  };
  const keyed = [...body.rows].map((row) => [key(row), row]);
  keyed.sort(([a], [b]) => {
    if (a.missing || b.missing) return Number(a.missing) - Number(b.missing);
    const both = Number.isFinite(a.number) && Number.isFinite(b.number);
    return direction * (both ? a.number - b.number : a.text.localeCompare(b.text));
  });
  body.append(...keyed.map(([, row]) => row));
}
