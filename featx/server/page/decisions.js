// What people decided here, and the way back.
import { ask, undo } from "./api.js";
import { count, h, percent, say } from "./dom.js";

export async function decisionsView(main, state, shop, signal) {
  main.replaceChildren(h("h1", {}, "Decisions"), h("p", {}, "Loading …"));
  const found = await ask("/v1/decisions?limit=200");
  if (signal.aborted) return;
  const kinds = Object.entries(found.counts).map(([kind, n]) => `${n.toLocaleString("en")} ${kind}`).join(", ");
  const again = () => decisionsView(main, state, shop, signal);
  main.replaceChildren(
    h("h1", {}, "Decisions"),
    h("p", {}, found.total ? `${count(found.total, "decision")} taken; in force: ${kinds || "none"}. They count from the next training on: ` : "Nothing has been decided here yet.", found.total ? h("code", {}, "featx fit") : ""),
    shop.can("review") ? training(signal) : "",
    found.total ? h("div", { class: "wide", tabIndex: 0, role: "region", "aria-label": "The newest decisions" }, h("table", {},
      h("thead", {}, h("tr", {}, ["Item", "Decision", "Was", "By", "When", ""].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, found.decisions.map((one) => row(one, shop, again))))) : "");
}

function row(one, shop, again) {
  const words = one.decision === "change" ? `change to ${one.new_label}` : one.decision;
  const back = async () => {
    await undo(one.key).catch((refusal) => say(refusal.message));
    again();
  };
  return h("tr", { class: one.undone ? "undone" : "" },
    h("td", {}, h("a", { href: `/?view=item&id=${encodeURIComponent(one.id)}`, "data-view": "item" }, one.id)),
    h("td", {}, words), h("td", {}, one.says), h("td", {}, one.who), h("td", {}, one.when.replace("T", " ").replace("Z", "")),
    h("td", {}, one.undone ? "undone" : shop.can("review") ? h("button", { type: "button", onclick: back, "aria-label": `Undo ${words} of ${one.id}` }, "undo") : ""));
}

/** The button that trains again, how far that is, and what it changed. */
function training(signal) {
  const place = h("section", { "aria-label": "Training", class: "training" });
  const show = (run) => {
    const words = { working: `Working: ${run.stage} …`, failed: `It failed: ${run.error}`, ready: changed(run) }[run.state] ?? "";
    const begin = async () => {
      try {
        await follow(await ask("/v1/update", { method: "POST" }));
      } catch (refusal) {
        say(`Not begun: ${refusal.message}`);
      }
    };
    place.replaceChildren(
      h("button", { type: "button", disabled: run.state === "working", onclick: begin }, "Extract what is new and train again"),
      h("p", { role: "status" }, words), run.state === "working" ? h("progress", { "aria-label": "Training" }) : "");
  };
  const follow = async (first) => {
    for (let run = first; ; run = await ask("/v1/update")) {
      if (signal.aborted) return;
      show(run);
      if (run.state !== "working") return;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  };
  ask("/v1/update").then(follow, () => place.replaceChildren());
  return place;
}

function changed({ report, accuracy_before: before, accuracy_after: after }) {
  const trained = report?.trainings?.length ? `${report.trainings.join("; ")}. ` : "Nothing to train on has changed. ";
  return before !== null && after !== null ? `${trained}Accuracy ${percent(before)} before, ${percent(after)} now.` : trained;
}
