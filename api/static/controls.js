// A form of choices shows its view as soon as the pointer has chosen; from the keyboard it waits for the button, since arrow keys pass
// over choices that are not meant. And buttons that copy a command. All listen at the document, so parts that come later work too.
"use strict";

{
  let pointer = false;
  const controls = (event) => event.target.closest?.("form.controls");
  document.addEventListener("pointerdown", (event) => { pointer = Boolean(controls(event)); });
  document.addEventListener("keydown", (event) => { if (controls(event)) pointer = false; });
  document.addEventListener("change", (event) => { if (pointer) controls(event)?.requestSubmit(); });
  // Choices at "all" are left out of the link.
  document.addEventListener("formdata", (event) => {
    if (controls(event)) for (const [name, value] of [...event.formData.entries()]) if (value === "") event.formData.delete(name);
  });
}

if (navigator.clipboard) {
  const offer = () => { for (const button of document.querySelectorAll("button[data-copy]")) button.hidden = false; };
  offer();
  document.addEventListener("swapped", offer);
  document.addEventListener("click", async ({ target }) => {
    if (!target.matches?.("button[data-copy]")) return;
    await navigator.clipboard.writeText(target.previousElementSibling.textContent);
    target.textContent = "Copied";
    setTimeout(() => { target.textContent = "Copy"; }, 1500);
  });
}
