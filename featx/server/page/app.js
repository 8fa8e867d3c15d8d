// The frame of the page: what the server knows, and which view the address names.
import { ask } from "./api.js";
import { count, h, say } from "./dom.js";
import { copiesView } from "./copies.js";
import { decisionsView } from "./decisions.js";
import { itemView } from "./item.js";
import { mapView } from "./map.js";
import { reportView } from "./report.js";
import { reviewView } from "./review.js";
import { searchView } from "./search.js";

const VIEWS = {
  search: { title: "Search", show: searchView, listed: true },
  review: { title: "Review", show: reviewView, listed: true },
  map: { title: "Map", show: mapView, listed: true },
  copies: { title: "Copies", show: copiesView, listed: true },
  report: { title: "Report", show: reportView, listed: true },
  decisions: { title: "Decisions", show: decisionsView, listed: true },
  item: { title: "Product", show: itemView },
};

const main = document.getElementById("main");
const shop = { catalogue: null, go, can: (scope) => shop.catalogue.scopes.includes(scope) };
let leave = null;

/** Go to a view; the address carries its state, so that Back, bookmarks and links work. */
function go(view, state = {}, { replace = false } = {}) {
  const query = new URLSearchParams(view === "search" ? {} : { view });
  for (const [name, value] of Object.entries(state)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one) query.append(name, one);
  }
  const target = `/${query.size ? `?${query}` : ""}`;
  history[replace ? "replaceState" : "pushState"](null, "", target);
  show();
}

function show() {
  const state = new URLSearchParams(location.search);
  const name = VIEWS[state.get("view")] ? state.get("view") : "search";
  leave?.abort();
  leave = new AbortController();
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${VIEWS[name].title} · featx`;
  say("");
  VIEWS[name].show(main, state, shop, leave.signal);
}

function follow(event) {
  const link = event.target.closest("a[data-view]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  const state = Object.fromEntries(new URL(link.href).searchParams);
  delete state.view;
  go(link.dataset.view, state);
  main.focus();
}

function stranger(problem) {
  const words = problem.status === 401 ? "Open the address that featx serve printed in its terminal: it logs this browser in." : `${problem.detail}. ${problem.hint ?? ""}`;
  main.replaceChildren(h("h1", {}, problem.status === 401 ? "Please log in" : "The catalogue cannot be shown"), h("p", {}, words));
}

async function begin() {
  try {
    shop.catalogue = await ask("/v1/catalogue");
  } catch (refusal) {
    stranger(refusal.problem ?? { detail: refusal.message });
    return;
  }
  const { photos, products, categories, read_only: readOnly } = shop.catalogue;
  document.getElementById("about").textContent =
    `${count(photos, "photo")} · ${count(products, "product")} · ${count(categories.length, "category", "categories")}${readOnly ? " · read-only" : ""}`;
  document.getElementById("nav").replaceChildren(
    ...Object.entries(VIEWS).filter(([, view]) => view.listed).map(([name, view]) =>
      h("a", { href: name === "search" ? "/" : `/?view=${name}`, "data-view": name }, view.title)),
  );
  document.addEventListener("click", follow);
  addEventListener("popstate", show);
  show();
}

begin();
