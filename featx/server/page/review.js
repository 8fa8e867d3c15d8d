// The review queue: one photo at a time, decided by single keys, with undo.
import { address, ask, askUntilDone } from "./api.js";
import { choiceButton, choicesFor, decisionOf, otherField, take, takeBack } from "./deciding.js";
import { count, h, isWriting, percent, photo, say } from "./dom.js";

const QUEUES = { labels: "Labels that look wrong", doubts: "Unlabelled photos in doubt" };

export async function reviewView(main, state, shop, signal) {
  const queue = QUEUES[state.get("queue")] ? state.get("queue") : "labels";
  const place = h("section", { "aria-label": QUEUES[queue] }, h("p", {}, "Looking …"));
  main.replaceChildren(h("h1", {}, "Review"), tabs(queue), place);
  try {
    const found = await askUntilDone(`/v1/review?queue=${queue}&limit=500`, ({ done }) => place.replaceChildren(working(done)), signal);
    if (!signal.aborted) new Session(place, found, shop, signal).show();
  } catch (refusal) {
    if (!signal.aborted) place.replaceChildren(h("p", { class: "error" }, `${refusal.message}. ${refusal.problem?.hint ?? ""}`));
  }
}

const tabs = (now) => h("p", { class: "row" }, Object.entries(QUEUES).map(([name, title]) =>
  h("a", { class: "button", href: `/?view=review&queue=${name}`, "data-view": "review", "aria-current": name === now ? "true" : null }, title)));

const working = (done) => h("p", {}, "Comparing every photo with the others of its category … ", h("progress", { max: 1, value: done, "aria-label": "How far it is" }));

class Session {
  constructor(place, found, shop, signal) {
    Object.assign(this, { place, shop, signal, cases: found.cases, total: found.cases.length, at: 0, decided: [] });
    document.addEventListener("keydown", (event) => this.key(event), { signal });
  }

  get case() { return this.cases[this.at]; }

  show() {
    if (!this.case) {
      this.place.replaceChildren(h("h2", {}, this.total ? "All done" : "Nothing needs a look"),
        h("p", {}, this.decided.length ? `${count(this.decided.length, "decision")} taken. They count from the next training on: ` : "", this.decided.length ? h("code", {}, "featx fit") : ""),
        this.decided.length ? h("p", {}, h("button", { type: "button", onclick: () => this.undo() }, h("kbd", {}, "u"), " undo the last")) : "");
      return;
    }
    const { item, suggestions, why, agree, of } = this.case;
    const reason = why === "product" ? "the other photos of the product have another category" : why === "look" ? `${agree} of ${of} look-alikes are ${suggestions[0].category}` : why;
    const chosen = (choice) => this.choose(choice);
    const near = h("ul", { class: "tiles small" });
    this.place.replaceChildren(
      h("p", { class: "quiet", id: "where" }, `${this.at + 1} of ${this.total}`),
      h("div", { class: "case" },
        h("figure", {}, photo(item, 1024, `${item.product}, ${item.label ?? "no category"}`), h("figcaption", {}, h("a", { href: `/?view=item&id=${encodeURIComponent(item.id)}`, "data-view": "item" }, item.product))),
        h("div", {},
          h("h2", {}, item.label ? `Is this ${item.label}?` : "What is this?"),
          h("p", {}, suggestions.map(({ category, sure }) => h("span", { class: "mark" }, `${category} ${percent(sure)}`)), ` ${reason}`),
          this.shop.can("review") ? h("div", { class: "choices" }, choicesFor(item, suggestions).map((choice) => choiceButton(choice, chosen)), otherField(item, this.shop.catalogue, chosen)) : h("p", {}, "This server is read-only."),
          h("p", { class: "row" }, h("button", { type: "button", onclick: () => this.skip() }, h("kbd", {}, "→"), " skip"), h("button", { type: "button", onclick: () => this.undo() }, h("kbd", {}, "u"), " undo")))),
      h("h2", {}, `Its look-alikes in ${suggestions[0].category}`), near);
    this.alike(near, item, suggestions[0].category);
    this.preload();
  }

  async alike(place, item, label) {
    const here = this.case;
    try {
      const { answers } = await ask(address("/v1/similar", { id: item.id, label, k: 5, copies: "true" }));
      if (this.case === here) place.replaceChildren(...answers[0].results.map((one) => h("li", {}, photo(one, 256, `${one.product}, ${one.label}`), h("p", { class: "quiet" }, one.product))));
    } catch { place.replaceChildren(); }
  }

  preload() {
    const next = this.cases[this.at + 1];
    if (next) new Image().src = `${next.item.photo}&side=1024`;
  }

  async choose(choice) {
    const { item } = this.case, at = this.at;
    this.decided.push(at);
    this.at += 1;
    this.show();
    try {
      await take([decisionOf(item, choice.decision, choice.label)], `${item.product}: ${choice.words}.`);
    } catch (refusal) {
      this.decided = this.decided.filter((one) => one !== at);
      this.at = at;
      this.show();
      say(`Not decided: ${refusal.message}`);
    }
  }

  skip() {
    if (!this.case) return;
    this.at += 1;
    this.show();
  }

  async undo() {
    if (!this.decided.length || !(await takeBack())) return;
    this.at = this.decided.pop();
    this.show();
  }

  key(event) {
    if (isWriting(event)) return;
    const button = this.place.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    const moves = { ArrowRight: () => this.skip(), s: () => this.skip(), u: () => this.undo(), ArrowLeft: () => { if (this.at) { this.at -= 1; this.show(); } }, o: () => document.getElementById("other")?.focus() };
    if (!button && !moves[event.key]) return;
    event.preventDefault();
    if (button) button.click(); else moves[event.key]();
  }
}
