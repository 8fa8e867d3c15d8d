// Look-alikes on a shop's own pages: one script tag, no style and no name that could meet the page's. See docs/serve.md.
{
  const script = document.currentScript;
  const base = new URL(".", script.src);
  const { id = "", k = "6", link = "", title = "", show = "", into = "", where = "", photo = id ? "" : "yes" } = script.dataset;
  const words = { choose: "Search by photo", none: "Nothing is alike.", failed: "This photo cannot be searched for.", ...script.dataset };

  // A constructed sheet is no inline style: a strict policy of the page allows it.
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    :host { display: block; container-type: inline-size; }
    :host([hidden]) { display: none; }
    h2 { font: inherit; font-weight: 600; margin: 0 0 .5em; }
    ul { list-style: none; margin: 0; padding: 0; display: grid; gap: var(--featx-gap, 1em); grid-template-columns: repeat(auto-fill, minmax(var(--featx-size, 9em), 1fr)); }
    a { color: inherit; text-decoration: none; display: block; }
    img { width: 100%; aspect-ratio: 1; object-fit: contain; background: #fff; display: block; }
    p { margin: .25em 0; overflow-wrap: anywhere; }
    label { display: inline-block; border: 1px solid; border-radius: .4em; padding: .5em .9em; margin-bottom: .75em; cursor: pointer; }
    label:focus-within, a:focus-visible { outline: 3px solid Highlight; outline-offset: 2px; }
    input { position: absolute; width: 1px; height: 1px; opacity: 0; }
  `);

  /** Make an element; texts are never read as HTML. */
  const h = (tag, properties, ...children) => {
    const { part, role, ...rest } = properties;
    const element = Object.assign(document.createElement(tag), rest);
    if (part) element.setAttribute("part", part);
    if (role) element.setAttribute("role", role);
    element.append(...children);
    return element;
  };
  const fill = (template, item) => template.replace(/\{(id|product)\}/g, (_, name) => encodeURIComponent(item[name]));

  const tile = (item) => {
    const facts = show.split(",").map((name) => item.columns[name.trim()]).filter((value) => value !== undefined && value !== null);
    const picture = h("img", { part: "photo", src: new URL(`.${item.photo}&side=256`, base), alt: facts.length ? "" : item.product, loading: "lazy" });
    const texts = facts.map((fact) => h("p", { part: "fact" }, String(fact)));
    return h("li", { part: "item" }, link ? h("a", { part: "link", href: fill(link, item) }, picture, ...texts) : h("div", {}, picture, ...texts));
  };

  const host = document.createElement("div");
  const shadow = host.attachShadow({ mode: "open" });
  shadow.adoptedStyleSheets = [sheet];
  const heading = title ? h("h2", { part: "title" }, title) : "";
  const status = h("p", { part: "status", role: "status" });
  const list = h("ul", { part: "list" });
  let newest = 0;

  /** Show the answers to a question; a photo that comes while another is looked for wins. */
  async function find(query, body) {
    const mine = ++newest;
    const address = new URL("v1/similar", base);
    for (const [name, value] of Object.entries({ k, where, ...query })) if (value) address.searchParams.set(name, value);
    const answer = await fetch(address, body ? { method: "POST", body, headers: { "Content-Type": "application/octet-stream" } } : {});
    const document = await answer.json();
    if (!answer.ok) throw new Error(`featx: ${document.detail}`);
    if (mine !== newest) return;
    list.replaceChildren(...document.answers[0].results.map(tile));
    status.textContent = list.children.length ? "" : words.none;
  }

  async function take(event) {
    const file = event.target.files[0];
    event.target.value = "";
    if (!file) return;
    try {
      await find({}, file);
    } catch (error) {
      console.warn(error.message);
      list.replaceChildren();
      status.textContent = words.failed;
    }
  }

  const chooser = photo ? h("label", { part: "choose" }, words.choose, h("input", { type: "file", accept: "image/*", onchange: take })) : "";
  shadow.append(heading, chooser, status, list);
  host.hidden = !photo;

  const begin = () => {
    const place = into ? document.querySelector(into) : null;
    if (place) place.append(host);
    else script.after(host);
    // Look-alikes are an extra: where there are none, the page of the shop stays as it is.
    if (id) find({ id }).then(() => { host.hidden = !photo && !list.children.length; }, (error) => console.warn(error.message));
  };
  if (into && document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
}
