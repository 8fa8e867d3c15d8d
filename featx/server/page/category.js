// What the classifier says: categories with their confidence, and whether a person should look.
import { h, percent } from "./dom.js";

export function categoryPanel(answer, rule = "") {
  if (answer.error) return h("p", { class: "error" }, answer.error.detail);
  const bar = ({ category, sure }) => {
    const meter = h("meter", { min: 0, max: 1, value: sure });
    meter.setAttribute("aria-label", `${category}: ${percent(sure)}`);
    return h("li", {}, h("span", {}, category), meter, h("span", { class: "score" }, percent(sure)));
  };
  return h("div", { class: "category" },
    h("p", {}, h("strong", {}, answer.category), ...marks(answer, rule)),
    h("ol", {}, answer.top.filter(({ sure }) => sure >= 0.01).map(bar)));
}

// A category that must not be missed has a mark of its own, whatever the answer is.
function marks(answer, rule) {
  if (answer.flags.length) {
    const title = `must not be missed: ${answer.flags.join(", ")}`;
    return [h("span", { class: "mark flag", title }, `may be ${answer.flags.join(" or ")}`)];
  }
  return [answer.review
    ? h("span", { class: "mark doubt", title: rule }, `needs a look: ${answer.doubt}`)
    : h("span", { class: "mark" }, "sure enough")];
}
