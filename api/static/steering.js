// Buttons that change runs say beside them what became of it; without this script their form leads to a page that says it.
"use strict";

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches?.("form.steer") || (event.submitter?.getAttribute("formmethod") ?? form.method) !== "post") return;
  event.preventDefault();
  const said = form.querySelector("output"), button = event.submitter;
  const fields = new URLSearchParams(new FormData(form, button));
  said.textContent = "…";
  try {
    const answer = await fetch(button?.getAttribute("formaction") ?? form.action, { method: "POST", body: fields, headers: { Accept: "text/html" } });
    if (new URL(answer.url).pathname === "/login") { location.href = answer.url; return; }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.ok && !page.getElementById("told")) { location.reload(); return; } // an exclusion leads back to the run
    if (answer.ok) form.reset(); // live.js leaves a form alone that is being filled in
    said.textContent = (page.getElementById("told") ?? page.querySelector(".problem h1") ?? page.body).textContent.trim();
  } catch {
    said.textContent = "The server cannot be reached.";
  }
});
