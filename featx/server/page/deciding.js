// Decisions: sent at once, taken back with one key, and never lost without a word.
import { decide, undo } from "./api.js";
import { h, newKey, say } from "./dom.js";

const taken = [];

export const WORDS = {
  keep: (item) => `${item.label ?? "no category"} is right`,
  change: (item, label) => (item.label ? `change to ${label}` : `it is ${label}`),
  exclude: () => "leave out",
};

/** Decide about an item; `settled` learns whether the server has it. Several items make one step of undo. */
export async function take(decisions, words) {
  const keyed = decisions.map((decision) => ({ key: newKey(), decision }));
  const keys = keyed.map(({ key }) => key);
  taken.push(keys);
  say(words);
  try {
    await Promise.all(keyed.map(({ key, decision }) => persistently(() => decide(key, decision))));
  } catch (refusal) {
    taken.splice(taken.indexOf(keys), 1); // what was not taken cannot be taken back
    throw refusal;
  }
}

/** The last decision of this page, taken back; false where there is none. */
export async function takeBack() {
  const keys = taken.pop();
  if (!keys) {
    say("There is nothing to undo.");
    return false;
  }
  await Promise.all(keys.map((key) => persistently(() => undo(key))));
  say("Undone.");
  return true;
}

/** Once more where the server was busy: the same key never makes two decisions. */
async function persistently(step, tries = 4) {
  for (let i = 0; ; i += 1) {
    try {
      return await step();
    } catch (refusal) {
      const status = refusal.problem?.status ?? 0;
      if (i >= tries || (status && status !== 503 && status !== 429)) throw refusal;
      await new Promise((resolve) => setTimeout(resolve, 400 * 2 ** i));
    }
  }
}

export const decisionOf = (item, decision, label = "") => ({ id: item.id, digest: item.digest, decision, new_label: label });

/** What may be decided about an item, with the keys of the review; `done` is called with the decision. */
export function choicesFor(item, suggestions) {
  const others = suggestions.filter(({ sure }) => sure >= 0.02).map(({ category }) => category).filter((category) => category !== item.label).slice(0, 2);
  return [
    item.label && { key: "r", decision: "keep", words: WORDS.keep(item) },
    ...others.map((label, i) => ({ key: "cv"[i], decision: "change", label, words: WORDS.change(item, label) })),
    { key: "x", decision: "exclude", words: WORDS.exclude(item) },
  ].filter(Boolean);
}

/** A field for any other category, with those there are. */
export function otherField(item, catalogue, chosen) {
  const names = h("datalist", { id: "categories" }, catalogue.categories.map((name) => h("option", { value: name })));
  const input = h("input", { id: "other", autocomplete: "off", onkeydown: (event) => { if (event.key === "Enter") { event.preventDefault(); pick(); } if (event.key === "Escape") input.blur(); } });
  input.setAttribute("list", "categories");
  const pick = () => {
    const typed = input.value.trim().toLowerCase();
    const fits = catalogue.categories.filter((name) => name.toLowerCase() === typed);
    const begins = catalogue.categories.filter((name) => name.toLowerCase().startsWith(typed));
    const label = fits[0] ?? (begins.length === 1 ? begins[0] : null);
    if (!typed || !label) say(`“${input.value}” is not a category.`);
    else chosen({ key: "o", decision: "change", label, words: WORDS.change(item, label) });
  };
  return h("div", { class: "row" }, h("label", { htmlFor: "other" }, h("kbd", {}, "o"), " another category"), input, names, h("button", { type: "button", onclick: pick }, "Set"));
}

export const choiceButton = (choice, chosen) =>
  h("button", { type: "button", class: "choice", "data-key": choice.key, onclick: () => chosen(choice) }, h("kbd", {}, choice.key), ` ${choice.words}`);

/** The decisions about one product, on its own page. */
export function decisionBar(item, suggestions, shop) {
  const chosen = async (choice) => {
    try {
      await take([decisionOf(item, choice.decision, choice.label)], `${item.product}: ${choice.words}.`);
      say(`${item.product}: ${choice.words}.`, h("button", { type: "button", onclick: takeBack }, "Undo"));
    } catch (refusal) {
      say(`Not decided: ${refusal.message}`);
    }
  };
  return h("div", { class: "choices" }, choicesFor(item, suggestions).map((choice) => choiceButton(choice, chosen)), otherField(item, shop.catalogue, chosen));
}
