// Makes a part of the page like that of a newer one, and touches nothing that is alike already. What the reader has done stays: the zoom of a chart,
// open details, a sorted table, a form that is being filled in.
"use strict";

const morph = (() => {
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
    if (field.options) return hasDefault(field) && isChosenAnew(field);
    if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
    return field.localName === "input" && field.value !== field.defaultValue; // a button has no default value, and nobody fills it in
  });

  const hasDefault = (select) => [...select.options].some((option) => option.defaultSelected);
  const isChosenAnew = (select) => [...select.options].some((option) => option.selected !== option.defaultSelected);

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

  return morph;
})();
