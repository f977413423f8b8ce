// What pages do beyond HTML. Every one of them works without this file.
(() => {
  "use strict";

  // An error summary or a notice of what has just happened takes focus, on load and after a swap.
  function takeFocus(root) {
    const wanted = root.querySelector("[data-focus]");
    if (wanted) wanted.focus();
  }

  // Text in [data-announce] of a swapped part is read out, so that a change of results is not silent.
  function announce(root) {
    const spoken = root.matches?.("[data-announce]") ? root : root.querySelector("[data-announce]");
    const announcer = document.getElementById("announcer");
    if (spoken && announcer) announcer.textContent = spoken.dataset.announce;
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-print]")) window.print();
  });

  // A second press of a button does not send a form twice.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-once]")) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    for (const button of form.querySelectorAll("[type=submit]")) button.setAttribute("aria-disabled", "true");
  });

  // Coming back by the browser's history, a form can be sent again.
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("[data-sent]")) {
      delete form.dataset.sent;
      for (const button of form.querySelectorAll("[aria-disabled]")) button.removeAttribute("aria-disabled");
    }
  });

  document.addEventListener("htmx:after:swap", () => {
    takeFocus(document);
    announce(document.body);
  });

  takeFocus(document);
})();
