// Why a photo is of its category: the parts that spoke for it, and the regions over the photo.
import { h } from "./dom.js";

/** Why this category and not the next: what spoke for it, and where on the photo. */
export function whyButton(asked) {
  const place = h("div", { class: "why" });
  const explain = async () => {
    place.replaceChildren(h("p", {}, "Looking for reasons …"));
    try {
      const { explanation, overlay } = await asked();
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
