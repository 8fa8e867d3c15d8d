// The report of the last comparison, in a frame that reaches nothing of this page.
import { ask } from "./api.js";
import { h } from "./dom.js";

export async function reportView(main, state, shop, signal) {
  main.replaceChildren(h("h1", {}, "Report"), h("p", {}, "Loading …"));
  try {
    const { page } = await ask("/v1/report");
    if (signal.aborted) return;
    if (!page) return void main.replaceChildren(h("h1", {}, "Report"), h("p", {}, "No comparison has been made yet. Make one: ", h("code", {}, "featx compare")));
    main.replaceChildren(h("h1", {}, "Report"),
      h("p", {}, "Which backbone and classifier suit these photos, and how good they are. ", h("a", { href: page, target: "_blank", rel: "noopener" }, "Open it in a tab of its own")),
      h("iframe", { class: "report", src: page, title: "The report of the last comparison" }));
  } catch (refusal) {
    if (!signal.aborted) main.replaceChildren(h("h1", {}, "Report"), h("p", {}, `${refusal.message}. ${refusal.problem?.hint ?? ""}`));
  }
}
