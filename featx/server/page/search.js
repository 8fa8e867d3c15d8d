// Search by photo, by item, and by "more like these, not like those".
import { address, ask, send } from "./api.js";
import { categoryPanel } from "./category.js";
import { takePhoto } from "./camera.js";
import { count, h, isWriting, photo, say } from "./dom.js";
import { whyButton } from "./why.js";

// The photo of now is not in the address: it is kept here while the page is open.
const own = { file: null, preview: "" };

export function searchView(main, state, shop, signal) {
  const { catalogue } = shop;
  const wanted = settingsOf(state);
  const results = h("section", { "aria-labelledby": "answers", "aria-busy": "false" });
  const pinned = h("section", { class: "pinned", "aria-label": "What you look for" });
  main.replaceChildren(
    h("h1", {}, "Search by photo"),
    entry(wanted, shop, signal),
    filters(wanted, catalogue, (changed) => shop.go("search", { ...wanted, ...changed })),
    pinned,
    results,
  );
  // A search of its own address, or of the photo that is at hand.
  if (wanted.id || wanted.like.length) own.file = null;
  const query = own.file ? "photo" : wanted.id || wanted.like.length ? "items" : "none";
  if (query === "none") {
    results.replaceChildren(...welcome(catalogue));
    return;
  }
  pin(pinned, query, wanted, shop, signal);
  find(results, query, wanted, shop, signal);
}

const settingsOf = (state) => ({
  id: state.get("id") ?? "",
  like: state.getAll("like"),
  unlike: state.getAll("unlike"),
  label: state.get("label") ?? "",
  where: state.get("where") ?? "",
  text: state.get("text") ?? "",
  copies: state.get("copies") ?? "",
  diverse: state.get("diverse") ?? "",
  column: state.getAll("column"),
  k: state.get("k") ?? "",
});

// --- what to look for ------------------------------------------------------------------------------------------------

function entry(wanted, shop, signal) {
  const take = (file) => {
    if (!file) return;
    if (own.preview) URL.revokeObjectURL(own.preview);
    own.file = file;
    own.preview = URL.createObjectURL(file);
    shop.go("search", { ...wanted, id: "", like: [], unlike: [] });
  };
  const input = h("input", { type: "file", id: "file", accept: "image/*", onchange: () => take(input.files[0]) });
  const name = h("input", { type: "search", id: "name", value: wanted.id, autocomplete: "off", spellcheck: false });
  const area = h(
    "form",
    { class: "entry", id: "drop", onsubmit: (event) => { event.preventDefault(); if (name.value.trim()) { own.file = null; shop.go("search", { ...wanted, id: name.value.trim(), like: [], unlike: [] }); } } },
    shop.can("classify") && h("p", {}, "Drop a photo here, paste one (Ctrl-V), or"),
    shop.can("classify") && h("div", { class: "row" }, h("label", { class: "button", htmlFor: "file" }, "Choose a photo", input), navigator.mediaDevices && h("button", { type: "button", onclick: async () => take(await takePhoto()) }, "Take a photo")),
    h("div", { class: "row" }, h("label", { htmlFor: "name" }, "SKU, product or item"), name, h("button", { type: "submit" }, "Search")),
  );
  const drop = (event) => { event.preventDefault(); area.classList.remove("over"); take(event.dataTransfer?.files[0]); };
  document.addEventListener("dragover", (event) => { event.preventDefault(); area.classList.add("over"); }, { signal });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) area.classList.remove("over"); }, { signal });
  document.addEventListener("drop", drop, { signal });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (file) { event.preventDefault(); take(file); }
  }, { signal });
  document.addEventListener("keydown", (event) => { if (event.key === "/" && !isWriting(event)) { event.preventDefault(); name.focus(); } }, { signal });
  return area;
}

function filters(wanted, catalogue, change) {
  const choice = (id, words, values, value, changed) =>
    h("label", {}, words, h("select", { id, onchange: (event) => changed(event.target.value) },
      h("option", { value: "" }, "all"), values.map((one) => h("option", { value: one, selected: one === value }, one))));
  const columns = new Map(wanted.column.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]));
  const columnChanged = (name) => (value) => {
    if (value) columns.set(name, value); else columns.delete(name);
    change({ column: [...columns].map(([one, text]) => `${one}=${text}`) });
  };
  const field = (id, words, value, hint, changed) =>
    h("label", {}, words, h("input", { id, value, placeholder: hint, onchange: (event) => changed(event.target.value.trim()) }));
  const box = (id, words, value, changed) =>
    h("label", { class: "box" }, h("input", { id, type: "checkbox", checked: Boolean(value), onchange: (event) => changed(event.target.checked ? "1" : "") }), words);
  const set = [wanted.label, wanted.where, wanted.text, wanted.copies, wanted.diverse, ...wanted.column].filter(Boolean).length;
  return h("details", { class: "filters", open: set > 0 || innerWidth > 700 },
    h("summary", {}, set ? `Filters (${set} set)` : "Filters"),
    h("div", { class: "row" },
      choice("label", "Category", catalogue.categories, wanted.label, (label) => change({ label })),
      Object.entries(catalogue.choices).slice(0, 6).map(([name, values], number) => choice(`column${number}`, name, values, columns.get(name), columnChanged(name))),
      field("where", "Condition", wanted.where, "price < 20", (where) => change({ where })),
      catalogue.text && field("text", "Words on the photo", wanted.text, "oat milk", (text) => change({ text })),
      box("copies", "Show near-copies", wanted.copies, (copies) => change({ copies })),
      box("diverse", "Vary the answers", wanted.diverse, (diverse) => change({ diverse })),
    ));
}

/** The filters as the condition that the server reads. */
function condition(wanted) {
  const quoted = (text, mark) => mark + text.replaceAll(mark, mark + mark) + mark;
  const parts = wanted.column.map((pair) => {
    const at = pair.indexOf("=");
    return `${quoted(pair.slice(0, at), '"')} = ${quoted(pair.slice(at + 1), "'")}`;
  });
  if (wanted.text) parts.push(`read_text ~ ${quoted(wanted.text, "'")}`);
  if (wanted.where) parts.push(`(${wanted.where})`);
  return parts.join(" and ");
}

function welcome(catalogue) {
  return [
    h("h2", { id: "answers" }, "Nothing to look for yet"),
    h("p", {}, `Choose a photo, or type an item. ${catalogue.no_classifier ? `Categories are missing: ${catalogue.no_classifier}.` : `Photos also get a category from “${catalogue.classifier}”.`}`),
  ];
}

// --- what was asked, pinned ------------------------------------------------------------------------------------------

async function pin(place, query, wanted, shop, signal) {
  const chip = (kind, sign, id) =>
    h("button", { class: `chip ${kind}`, type: "button", title: "Take it away", onclick: () => shop.go("search", { ...wanted, [kind]: wanted[kind].filter((one) => one !== id) }) }, `${sign} ${id} ×`);
  const chips = h("div", { class: "row chips" }, wanted.like.map((id) => chip("like", "like", id)), wanted.unlike.map((id) => chip("unlike", "not", id)));
  if (query === "photo") {
    place.replaceChildren(h("img", { src: own.preview, alt: "Your photo", class: "query" }), h("div", {}, h("h2", {}, own.file.name || "Your photo"), h("div", { id: "category" }, "…"), chips));
    if (!shop.catalogue.classifier) { place.querySelector("#category").textContent = ""; return; }
    try {
      const answer = await send("/v1/classify?top=3", own.file);
      if (!signal.aborted) place.querySelector("#category").replaceChildren(categoryPanel(answer.answers[0], answer.rule), whyButton(() => send("/v1/explain", own.file)));
    } catch { place.querySelector("#category")?.replaceChildren(); }
  } else if (wanted.id) {
    place.replaceChildren(h("div", {}, h("h2", {}, wanted.id), chips));
    try {
      const { item, category } = await ask(`/v1/items/${encodeURIComponent(wanted.id)}`);
      if (signal.aborted) return;
      place.prepend(h("a", { href: `/?view=item&id=${encodeURIComponent(item.id)}`, "data-view": "item", class: "query" }, photo(item, 256)));
      place.querySelector("h2").after(h("p", {}, item.label ?? "no category yet"), category ? categoryPanel(category) : "");
    } catch { /* the list of answers says what is wrong */ }
  } else place.replaceChildren(h("div", {}, h("h2", {}, "More like these"), chips));
}

// --- answers ---------------------------------------------------------------------------------------------------------

async function find(place, query, wanted, shop, signal) {
  place.replaceChildren(h("h2", { id: "answers" }, "Looking …"));
  place.setAttribute("aria-busy", "true");
  const parameters = { k: wanted.k || 24, like: wanted.like, unlike: wanted.unlike, label: wanted.label, where: condition(wanted), copies: wanted.copies && "true", diverse: wanted.diverse && "true" };
  try {
    const answer = query === "photo" ? await send(address("/v1/similar", parameters), own.file) : await ask(address("/v1/similar", { ...parameters, id: wanted.id }));
    if (!signal.aborted) list(place, answer.answers[0], wanted, shop);
  } catch (refusal) {
    if (signal.aborted) return;
    const problem = refusal.problem ?? { detail: refusal.message };
    place.replaceChildren(h("h2", { id: "answers" }, problem.code === "photo-unreadable" ? "That file is not a photo featx can read" : "No answer"), h("p", { class: "error" }, `${problem.detail}${problem.hint ? `. ${problem.hint}` : ""}`));
  } finally {
    place.setAttribute("aria-busy", "false");
  }
}

function list(place, answer, wanted, shop) {
  const n = answer.results.length;
  const title = h("h2", { id: "answers" }, n ? count(n, "look-alike") : "Nothing looks like it under these filters");
  const hidden = answer.hidden ? h("p", { class: "quiet" }, `${count(answer.hidden, "near-copy", "near-copies")} hidden`) : null;
  place.replaceChildren(title, hidden ?? "", h("ul", { class: "tiles" }, answer.results.map((found) => tile(found, wanted, shop))));
  say(n ? `${count(n, "look-alike")} found` : "nothing found", null, { aloud: true });
}

function tile(found, wanted, shop) {
  const steer = (kind) => {
    const other = kind === "like" ? "unlike" : "like";
    return { ...wanted, [kind]: [...new Set([...wanted[kind], found.id])], [other]: wanted[other].filter((one) => one !== found.id) };
  };
  const columns = Object.entries(found.columns).filter(([, value]) => value !== null && value !== "" && value !== found.id && value !== found.label).slice(0, 2);
  return h("li", {},
    h("a", { href: `/?id=${encodeURIComponent(found.id)}`, "data-view": "search", title: "Look for more like this" }, photo(found, 256, `${found.product}, ${found.label ?? "no category"}`)),
    h("p", {}, h("a", { href: `/?view=item&id=${encodeURIComponent(found.id)}`, "data-view": "item" }, found.product), h("span", { class: "score" }, found.score.toFixed(2))),
    h("p", { class: "quiet" }, [found.label, found.word].filter(Boolean).join(" · ") || "no category"),
    columns.length ? h("p", { class: "quiet" }, columns.map(([name, value]) => `${name} ${value}`).join(" · ")) : null,
    h("p", { class: "steer" },
      h("button", { type: "button", onclick: () => shop.go("search", steer("like")), "aria-label": `More like ${found.product}` }, "more"),
      h("button", { type: "button", onclick: () => shop.go("search", steer("unlike")), "aria-label": `Less like ${found.product}` }, "less")),
  );
}
