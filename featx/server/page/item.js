// One product: its photos, what the shop's table says, its category, and decisions about it.
import { address, ask } from "./api.js";
import { categoryPanel } from "./category.js";
import { h, itemTile, photo } from "./dom.js";
import { decisionBar } from "./deciding.js";

export async function itemView(main, state, shop, signal) {
  const id = state.get("id") ?? "";
  main.replaceChildren(h("h1", {}, id), h("p", {}, "Loading …"));
  try {
    const { item, others, category } = await ask(`/v1/items/${encodeURIComponent(id)}`);
    const alike = await ask(address("/v1/similar", { id: item.id, k: 6 }));
    if (!signal.aborted) draw(main, item, others, category, alike.answers[0].results, shop, signal);
  } catch (refusal) {
    if (!signal.aborted) main.replaceChildren(h("h1", {}, "No such product"), h("p", { class: "error" }, `${refusal.message}. ${refusal.problem?.hint ?? ""}`));
  }
}

function draw(main, item, others, category, alike, shop, signal) {
  const facts = Object.entries(item.columns).filter(([, value]) => value !== null && value !== "");
  main.replaceChildren(
    h("h1", {}, item.product),
    h("div", { class: "product" },
      h("figure", {}, photo(item, 1024, `${item.product}, ${item.label ?? "no category"}`), h("figcaption", { class: "quiet" }, item.id)),
      h("div", {},
        h("p", {}, "Category: ", h("strong", {}, item.label ?? "none yet")),
        category ? h("div", {}, h("h2", {}, "By the photo"), categoryPanel(category), why(item)) : null,
        h("p", {}, h("a", { class: "button", href: `/?id=${encodeURIComponent(item.id)}`, "data-view": "search" }, "Look for more like this")),
        shop.can("review") ? h("div", {}, h("h2", {}, "Decide"), decisionBar(item, category?.top ?? [], shop, signal)) : null,
        facts.length ? h("div", {}, h("h2", {}, "Your table"), h("dl", {}, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]))) : null)),
    others.length ? h("section", {}, h("h2", {}, "Other photos of the product"), h("ul", { class: "tiles small" }, others.map((one) => itemTile(one, 256)))) : null,
    h("section", {}, h("h2", {}, "Look-alikes"), h("ul", { class: "tiles small" }, alike.map((one) => itemTile(one, 256)))));
}

/** Why this category and not the next: what spoke for it, and where on the photo. */
function why(item) {
  const place = h("div", { class: "why" });
  const explain = async () => {
    place.replaceChildren(h("p", {}, "Looking for reasons …"));
    try {
      const { explanation, overlay } = await ask(`/v1/explain/${encodeURIComponent(item.id)}`);
      const parts = Object.entries(explanation.parts).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, 6);
      const side = (odds) => (odds > 0 ? explanation.category : explanation.runner_up);
      place.replaceChildren(
        h("p", {}, `${explanation.category} rather than ${explanation.runner_up}:`),
        h("ul", {}, parts.map(([name, odds]) => h("li", {}, `${name} speaks for ${side(odds)} (${odds > 0 ? "+" : ""}${odds.toFixed(2)})`))),
        overlay ? h("img", { src: pictureOf(overlay), alt: `Orange regions speak for ${explanation.category}, blue ones for ${explanation.runner_up}` }) : "");
    } catch (refusal) {
      place.replaceChildren(h("p", { class: "error" }, refusal.message));
    }
  };
  place.replaceChildren(h("button", { type: "button", onclick: explain }, "Why?"));
  return place;
}

/** The policy of the page allows no data in addresses, so the picture becomes a blob. */
function pictureOf(address) {
  const bytes = Uint8Array.from(atob(address.slice(address.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
}
