"use strict";
(() => {
  const photos = [...document.querySelectorAll("li.photo")];
  const byId = (id) => document.getElementById(id);
  const status = byId("status"), help = byId("help"), other = byId("other"), category = byId("category");
  const known = new Set([...document.querySelectorAll("#categories option")].map((one) => one.value));
  const place = "featx-" + document.documentElement.dataset.sheet;
  const decided = new Map();
  const before = [];
  let at = 0;

  // A browser may refuse to keep anything for a page from a file; the decisions are then in the page alone.
  function keep() {
    try { localStorage.setItem(place, JSON.stringify([...decided])); } catch { /* see above */ }
  }
  function restore() {
    try {
      for (const [index, one] of JSON.parse(localStorage.getItem(place) ?? "[]")) if (photos[index]) decided.set(index, one);
    } catch { /* see above */ }
    photos.forEach((_, index) => show(index));
  }

  function show(index) {
    const photo = photos[index], one = decided.get(index);
    if (one) photo.dataset.decision = one.decision; else delete photo.dataset.decision;
    const words = { keep: "right", exclude: "left out", change: `→ ${one?.label}` };
    photo.querySelector(".done").textContent = one ? words[one.decision] : "";
    let pressed = false;
    for (const button of photo.querySelectorAll("button")) {
      const typed = button.dataset.decision === "other" && one?.decision === "change" && !pressed;
      const same = one && button.dataset.decision === one.decision && button.dataset.label === one.label;
      pressed = pressed || Boolean(same);
      button.setAttribute("aria-pressed", String(Boolean(same || typed)));
    }
  }
  function count(lead = "") {
    const sums = { change: 0, keep: 0, exclude: 0 };
    for (const one of decided.values()) sums[one.decision] += 1;
    const words = { change: "changed", keep: "right", exclude: "left out" };
    const parts = Object.entries(sums).filter(([, n]) => n).map(([name, n]) => `${n} ${words[name]}`);
    status.textContent = lead + (decided.size ? `${decided.size} of ${photos.length} decided: ${parts.join(", ")}.` : "Nothing decided yet.");
  }

  function go(index) {
    if (!photos.length) return;
    photos[at].tabIndex = -1;
    at = Math.max(0, Math.min(photos.length - 1, index));
    photos[at].tabIndex = 0;
    photos[at].focus({ preventScroll: true });
    photos[at].scrollIntoView({ block: "nearest" });
  }
  function row(step) {
    const here = photos[at].getBoundingClientRect();
    const beyond = photos.map((one, index) => ({ index, box: one.getBoundingClientRect() }))
      .filter(({ box }) => (step > 0 ? box.top > here.bottom - 4 : box.bottom < here.top + 4));
    if (!beyond.length) return;
    const distance = ({ box }) => Math.abs(box.top - here.top) * 4 + Math.abs(box.left - here.left);
    go(beyond.reduce((best, one) => (distance(one) < distance(best) ? one : best)).index);
  }

  function decide(index, decision, label) {
    before.push([index, decided.get(index)]);
    decided.set(index, { decision, label });
    changed(index);
    const next = photos.findIndex((_, i) => i > index && !decided.has(i));
    go(next < 0 ? index : next);
  }
  function undo() {
    const last = before.pop();
    if (!last) return;
    const [index, was] = last;
    if (was) decided.set(index, was); else decided.delete(index);
    changed(index);
    go(index);
  }
  function changed(index) { show(index); count(); keep(); }

  function ask(index) {
    at = index;
    byId("whose").textContent = photos[index].dataset.name;
    byId("wrong").textContent = category.value = "";
    other.showModal();
    category.focus();
  }
  function take() {
    const label = category.value.trim();
    if (!known.has(label)) {
      byId("wrong").textContent = label ? `No category is called “${label}”: choose one of the list.` : "Type a category.";
      return;
    }
    other.close();
    decide(at, "change", label);
  }
  function choose(index, button) {
    if (button.dataset.decision === "other") ask(index);
    else decide(index, button.dataset.decision, button.dataset.label);
  }

  // As featx writes its own tables: no cell that a spreadsheet would run as a formula.
  function cell(text) {
    const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  }
  function save() {
    const lines = [["id", "path", "says", "decision", "new_label", "digest"]];
    for (const [index, one] of [...decided].sort((a, b) => a[0] - b[0])) {
      const { id, path, says, digest } = photos[index].dataset;
      lines.push([id, path, says, one.decision, one.label, digest]);
    }
    const name = byId("save").dataset.name;
    const text = "\ufeff" + lines.map((line) => line.map(cell).join(",") + "\r\n").join("");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    count(`Downloaded ${name}; next: featx issues --apply ${name}. `);
  }

  const keys = {
    j: () => go(at + 1), ArrowRight: () => go(at + 1), k: () => go(at - 1), ArrowLeft: () => go(at - 1),
    ArrowDown: () => row(1), ArrowUp: () => row(-1), u: undo, s: save, "?": () => help.showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (other.open) {
      if (event.key === "Enter" && event.target === category) { event.preventDefault(); take(); }
      return;
    }
    if (help.open) {
      if (event.key === "?") help.close();
      return;
    }
    const button = photos[at]?.querySelector(`button[data-key="${CSS.escape(event.key)}"]`);
    const act = keys[event.key] ?? (button && (() => choose(at, button)));
    if (act) { event.preventDefault(); act(); }
  });
  photos.forEach((photo, index) => {
    photo.addEventListener("focusin", () => { photos[at].tabIndex = -1; at = index; photo.tabIndex = 0; });
    for (const button of photo.querySelectorAll("button")) button.addEventListener("click", () => choose(index, button));
  });
  byId("undo").addEventListener("click", undo);
  byId("save").addEventListener("click", save);
  byId("keys").addEventListener("click", () => help.showModal());
  byId("take").addEventListener("click", take);
  byId("cancel").addEventListener("click", () => other.close());
  for (const dialog of [help, other]) dialog.addEventListener("close", () => photos[at]?.focus({ preventScroll: true }));
  restore();
  if (photos.length) photos[0].tabIndex = 0;
  count();
})();
