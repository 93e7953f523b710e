"use strict";
// The page is whole without this: it only narrows down what is shown, and unfolds what is asked for.
(() => {
  const page = document.documentElement;
  const field = document.getElementById("filter");
  const said = document.getElementById("filter-said");
  const entries = [...document.querySelectorAll("[data-entry]")];
  const groups = [...document.querySelectorAll("[data-group]")];
  const texts = entries.map((entry) => entry.textContent.toLowerCase());
  page.classList.add("scripted");

  const narrow = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    entries.forEach((entry, number) => {
      const wanted = words.every((word) => texts[number].includes(word));
      entry.hidden = !wanted;
      if (wanted) shown += 1;
    });
    for (const group of groups) {
      group.hidden = words.length > 0 && !group.querySelector("[data-entry]:not([hidden])");
    }
    said.textContent = words.length ? `${shown} of ${entries.length} entries` : "";
  };
  field.addEventListener("input", narrow);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== field) {
      event.preventDefault();
      field.focus();
    } else if (event.key === "Escape" && document.activeElement === field) {
      field.value = "";
      narrow();
      field.blur();
    }
  });

  // A link may lead into something that is folded or filtered away.
  const unfold = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (!target) return;
    if (target.closest("[hidden]") || target.hidden) {
      field.value = "";
      narrow();
    }
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    target.scrollIntoView();
  };
  window.addEventListener("hashchange", unfold);
  unfold();

  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const details of folded) details.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const details of folded) details.open = false;
  });
})();
