// The keyboard and what else a page needs beside htmx. Keys are in the page itself: an element
// with data-key="e" is clicked (or focused, if one writes in it) when e is pressed.

(() => {
  "use strict";
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector, within = document) => within.querySelector(selector);
  const writing = (element) =>
    element?.matches?.("textarea, select, input:not([type=checkbox]):not([type=radio])");

  // Theme, shared with the chat page.

  one("#theme")?.addEventListener("click", () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try {
      localStorage.setItem("deskhand.theme", root.dataset.theme);
    } catch {
      // Storage may be forbidden; the choice then lasts as long as the page.
    }
  });

  // Keys

  let leading = ""; // the g of "g q"

  function named(event) {
    const { key } = event;
    return event.ctrlKey || event.metaKey ? `Ctrl+${key.toLowerCase()}` : key;
  }

  function visible(element) {
    return element.getClientRects().length > 0 || element.closest("form[hidden]") !== null;
  }

  function press(element) {
    if (element.matches("details")) {
      element.open = !element.open;
      if (element.open) element.scrollIntoView({ block: "start" });
    } else if (writing(element)) {
      element.focus();
      element.scrollIntoView({ block: "nearest" });
    } else element.click();
  }

  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.altKey || one("dialog[open]")) return;
    const target = event.target;
    if (event.key === "Escape" && writing(target)) {
      target.blur();
      return;
    }
    if (event.ctrlKey && event.key === "Enter" && target.closest("#verdict")) {
      event.preventDefault();
      one("#verdict .publish")?.click();
      return;
    }
    const key = named(event);
    if (writing(target) && !key.startsWith("Ctrl+")) return;
    if (key === "Enter" && target.matches("a, button, summary")) return;
    if (leading === "g") {
      leading = "";
      const link = one(`[data-go="g ${CSS.escape(key)}"]`);
      if (link) link.click();
      return;
    }
    if (key === "g") {
      leading = "g";
      setTimeout(() => { leading = ""; }, 1500);
      return;
    }
    if (key === "/") {
      event.preventDefault();
      const box = one("[data-search]");
      if (box) press(box);
      else one('[data-go="g c"]')?.click();
      return;
    }
    if (key === "j" || key === "k") {
      step(key === "j" ? 1 : -1);
      return;
    }
    if (key === "x") {
      const box = one(".case.open input[type=checkbox]");
      if (box) box.click();
      return;
    }
    const found = all(`[data-key="${CSS.escape(key)}"]`).find(visible);
    if (!found) return;
    event.preventDefault();
    press(found);
  });

  function step(by) {
    const links = all("#cases .case > a, [data-row]");
    const at = links.findIndex((link) => link.closest(".open") || link === document.activeElement);
    const next = links[Math.min(Math.max(at + by, 0), links.length - 1)];
    if (!next || links[at] === next) return;
    if (next.matches("[data-row]")) next.focus();
    else next.click();
  }

  one("#keys")?.addEventListener("click", () => one("#keymap").showModal());
  document.addEventListener("click", (event) => {
    const closer = event.target.closest("[data-close]");
    if (closer) one(`#${closer.dataset.close}`).close();
    if (event.target.matches("dialog")) event.target.close();
    const source = event.target.closest("[data-cite]");
    if (source && source.closest("#verdict")) cite(source.dataset.cite);
    if (event.target.closest("#start-from")) {
      const box = one("#verdict textarea");
      box.value = event.target.closest("#start-from").dataset.text;
      fit(box);
      box.focus();
    }
  });

  function cite(number) {
    const box = one("#verdict textarea");
    const at = box.selectionStart ?? box.value.length;
    const before = box.value.slice(0, at);
    const marker = `${before && !/\s$/.test(before) ? " " : ""}[${number}]`;
    box.setRangeText(marker, at, box.selectionEnd ?? at, "end");
    box.focus();
  }

  function fit(box) {
    box.rows = Math.min(14, Math.max(3, box.value.split("\n").length + Math.floor(box.value.length / 80)));
  }
  document.addEventListener("input", (event) => {
    if (event.target.matches("#verdict textarea")) fit(event.target);
  });

  // Selecting in the list, and deciding for a group

  const selected = new Set(); // outlives the list, which every step through it brings anew

  function showSelected() {
    const boxes = all(".select input");
    const here = new Set(boxes.map((box) => box.value));
    for (const value of selected) if (!here.has(value)) selected.delete(value);
    for (const box of boxes) box.checked = selected.has(box.value);
    const bulk = one("#bulk");
    if (!bulk) return;
    const ids = [...selected].join(",");
    bulk.hidden = selected.size === 0;
    bulk.elements.selected.value = ids;
    one("#selected").textContent = ids.split(",").filter(Boolean).length;
  }

  document.addEventListener("change", (event) => {
    if (event.target.closest(".select")) {
      const { value, checked } = event.target;
      if (checked) selected.add(value);
      else selected.delete(value);
      showSelected();
    }
    if (event.target.id === "for-all") one("#others").disabled = !event.target.checked;
    if (event.target.closest("form[data-auto]")) event.target.closest("form").requestSubmit();
  });

  // What htmx brings

  let scrolled = 0;
  document.addEventListener("htmx:beforeSwap", (event) => {
    scrolled = one("#cases")?.scrollTop ?? 0;
    if (event.detail.xhr.status >= 400) {
      event.detail.shouldSwap = false;
      toast(problem(event.detail.xhr), "");
    }
  });
  document.addEventListener("htmx:sendError", () => toast("The server cannot be reached.", ""));
  document.addEventListener("htmx:afterSettle", settle);

  function problem(xhr) {
    return xhr.getResponseHeader("x-problem")
      ? decodeURIComponent(xhr.getResponseHeader("x-problem"))
      : "That did not work. Reload the page.";
  }

  function settle() {
    const list = one("#cases");
    if (list) {
      list.scrollTop = scrolled;
      one("#cases .case.open")?.scrollIntoView({ block: "nearest" });
    }
    showSelected();
    const said = one("#said");
    if (said) {
      toast(said.dataset.said, said.dataset.batch);
      said.remove();
    }
    const box = one("#verdict textarea");
    if (box) fit(box);
    one("#beside section")?.scrollIntoView({ block: "nearest" });
  }
  document.addEventListener("DOMContentLoaded", settle);

  let fading = 0;
  function toast(text, batch) {
    const place = one("#toasts");
    place.replaceChildren();
    const note = document.createElement("p");
    note.className = "toast";
    note.textContent = text;
    if (batch && one("#undo")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "text";
      button.textContent = "Undo (u)";
      button.addEventListener("click", () => one("#undo button").click());
      note.append(button);
    }
    place.append(note);
    clearTimeout(fading);
    fading = setTimeout(() => place.replaceChildren(), 6000);
  }
})();
