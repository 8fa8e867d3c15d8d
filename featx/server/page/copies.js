// Groups of copies: keep one, or keep all.
import { askUntilDone } from "./api.js";
import { decisionOf, take, takeBack } from "./deciding.js";
import { count, h, isWriting, photo, say } from "./dom.js";

export async function copiesView(main, state, shop, signal) {
  const place = h("section", { "aria-label": "Groups of copies" }, h("p", {}, "Looking …"));
  main.replaceChildren(h("h1", {}, "Copies"), h("p", { class: "quiet" }, "Photos that are the same file, or nearly the same picture. Nothing is deleted: what you leave out is not learned from."), place);
  try {
    const found = await askUntilDone("/v1/duplicates?limit=200", ({ done }) => place.replaceChildren(h("progress", { max: 1, value: done, "aria-label": "How far it is" })), signal);
    if (!signal.aborted) draw(place, found, shop, signal);
  } catch (refusal) {
    if (!signal.aborted) place.replaceChildren(h("p", { class: "error" }, `${refusal.message}. ${refusal.problem?.hint ?? ""}`));
  }
}

function draw(place, found, shop, signal) {
  const groups = found.groups.map((group) => card(group, shop));
  place.replaceChildren(h("h2", {}, found.total ? count(found.total, "group") : "No copies"), ...groups);
  document.addEventListener("keydown", async (event) => {
    if (event.key !== "u" || isWriting(event)) return;
    event.preventDefault();
    if (await takeBack()) groups.findLast((one) => one.classList.contains("settled"))?.classList.remove("settled");
  }, { signal });
}

function card(group, shop) {
  const settle = async (kept) => {
    const others = group.items.filter((item) => item !== kept);
    element.classList.add("settled");
    try {
      await take(others.map((item) => decisionOf(item, "exclude")), `${kept.product} is kept, ${count(others.length, "copy", "copies")} left out. u undoes it.`);
      element.nextElementSibling?.querySelector("button")?.focus();
    } catch (refusal) {
      element.classList.remove("settled");
      say(`Not decided: ${refusal.message}`);
    }
  };
  const differ = group.labels.length > 1 ? h("span", { class: "mark doubt" }, `categories differ: ${group.labels.join(", ")}`) : null;
  const element = h("article", { class: "group" },
    h("h3", {}, `${group.kind} ${group.score.toFixed(2)} `, differ),
    h("ul", { class: "tiles small" }, group.items.map((item) => h("li", {}, photo(item, 256, item.id),
      h("p", {}, h("a", { href: `/?view=item&id=${encodeURIComponent(item.id)}`, "data-view": "item" }, item.id)), h("p", { class: "quiet" }, item.label ?? "no category"),
      shop.can("review") ? h("button", { type: "button", onclick: () => settle(item), "aria-label": `keep this one: ${item.id}` }, "keep this one") : null))));
  return element;
}
