// One product: its photos, what the shop's table says, its category, and decisions about it.
import { address, ask } from "./api.js";
import { categoryPanel } from "./category.js";
import { h, itemTile, photo } from "./dom.js";
import { decisionBar } from "./deciding.js";
import { whyButton } from "./why.js";

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
        category ? h("div", {}, h("h2", {}, "By the photo"), categoryPanel(category), whyButton(() => ask(`/v1/explain/${encodeURIComponent(item.id)}`))) : null,
        h("p", {}, h("a", { class: "button", href: `/?id=${encodeURIComponent(item.id)}`, "data-view": "search" }, "Look for more like this")),
        shop.can("review") ? h("div", {}, h("h2", {}, "Decide"), decisionBar(item, category?.top ?? [], shop, signal)) : null,
        facts.length ? h("div", {}, h("h2", {}, "Your table"), h("dl", {}, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]))) : null)),
    others.length ? h("section", {}, h("h2", {}, "Other photos of the product"), h("ul", { class: "tiles small" }, others.map((one) => itemTile(one, 256)))) : "",
    h("section", {}, h("h2", {}, "Look-alikes"), h("ul", { class: "tiles small" }, alike.map((one) => itemTile(one, 256)))));
}
