// Small helpers: elements without a template language, and words for people.

/** Make an element; `on…` properties listen, others are set, and texts are never read as HTML. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element && name !== "list" && name !== "form") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const percent = (share) => `${Math.floor(share * 100 + 1e-9)} %`;
export const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** Tell a screen reader and the eye what has just happened; an action may be offered with it. */
export function say(words, action = null, { aloud = false } = {}) {
  const place = document.getElementById("status");
  place.replaceChildren(h("span", {}, words), action ?? "");
  place.classList.toggle("shown", Boolean(words) && !aloud);
  place.classList.toggle("aloud", aloud);
  clearTimeout(say.timer);
  if (words && !action) say.timer = setTimeout(() => say(""), 6000);
}

/** A key that tells this decision from every other; other machines' addresses have no randomUUID. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The photo of an item, small enough for its place. */
export const photo = (item, side, text) =>
  h("img", { src: `${item.photo}&side=${side}`, alt: text ?? item.id, loading: "lazy", decoding: "async" });

/** An item in a list of photos, which leads to its page. */
export const itemTile = (item, side) =>
  h("li", {}, h("a", { href: `/?view=item&id=${encodeURIComponent(item.id)}`, "data-view": "item" }, photo(item, side, item.product)), h("p", { class: "quiet" }, item.label ?? ""));

/** Whether a key was meant for a field that is being written in. */
export const isWriting = (event) =>
  event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("input:not([type=checkbox]), select, textarea");
