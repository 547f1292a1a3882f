// A form of choices shows its view as soon as the pointer has chosen; from the keyboard it waits for the button, since arrow keys pass
// over choices that are not meant. And buttons that copy a command.
"use strict";

for (const form of document.querySelectorAll("form.controls")) {
  let pointer = false;
  form.addEventListener("pointerdown", () => { pointer = true; });
  form.addEventListener("keydown", () => { pointer = false; });
  form.addEventListener("change", () => { if (pointer) form.requestSubmit(); });
  // Choices at "all" are left out of the link.
  form.addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [...formData.entries()]) if (value === "") formData.delete(name);
  });
}

if (navigator.clipboard) {
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
}
