// The map: every photo as a point, similar ones close; what a lasso encircles is shown below.
import { address, ask, askBytes, askUntilDone } from "./api.js";
import { count, h, itemTile, say } from "./dom.js";

const SHOWN = 48;
const STEP = 1.4;
const CLOSE = 12; // pixels between a click and the point it means
// Where the map was left, and what was chosen on it: Back from a product comes here again.
let kept = { generation: "" };

export async function mapView(main, state, shop, signal) {
  const place = h("section", { "aria-label": "Map" }, h("p", {}, "Laying out the map …"));
  main.replaceChildren(h("h1", {}, "Map"), h("p", { class: "quiet" }, "Each point is a photo, and similar photos are close. Draw around points to see their photos."), place);
  try {
    const about = await askUntilDone("/v1/map", () => {}, signal);
    if (signal.aborted) return;
    const { data, generation } = await askBytes("/v1/map/points", { signal });
    if (signal.aborted) return;
    const again = () => signal.aborted || mapView(main, state, shop, signal);
    if (generation !== about.generation) return void again();
    if (kept.generation !== generation) kept = { generation, x: 0.5, y: 0.5, zoom: 1, rows: [] };
    draw(place, about.categories, pointsOf(data), again, signal);
  } catch (refusal) {
    if (!signal.aborted) place.replaceChildren(h("p", { class: "error" }, `${refusal.message}. ${refusal.problem?.hint ?? ""}`));
  }
}

/** Columns of the points, between 0 and 1; the category counts from 1, and 0 has none. */
function pointsOf(data) {
  const numbers = new DataView(data);
  const n = data.byteLength / 6;
  const points = { n, x: new Float32Array(n), y: new Float32Array(n), category: new Uint16Array(n) };
  for (let row = 0; row < n; row++) {
    points.x[row] = numbers.getUint16(row * 6, true) / 65535;
    points.y[row] = numbers.getUint16(row * 6 + 2, true) / 65535;
    points.category[row] = numbers.getUint16(row * 6 + 4, true);
  }
  return points;
}

/** Colours that neighbours in the list do not share; photos without a category are grey. */
const colour = (category) => (category ? [(category * 137.5) % 360, 65, 50 + 8 * (category % 3 - 1)] : [0, 0, 55]);
const written = ([hue, strength, light]) => `hsl(${hue} ${strength}% ${light}%)`;
function packed([hue, strength, light], alpha) {
  const reach = (strength / 100) * Math.min(light / 100, 1 - light / 100);
  const part = (n) => Math.round(255 * (light / 100 - reach * Math.max(-1, Math.min(((n + hue / 30) % 12) - 3, 9 - ((n + hue / 30) % 12), 1))));
  return ((alpha << 24) | (part(4) << 16) | (part(8) << 8) | part(0)) >>> 0;
}

function draw(place, categories, points, again, signal) {
  const canvas = h("canvas", { class: "map", tabindex: "0", role: "application", "aria-label": "Map of the photos: arrows move it, plus and minus zoom, Enter chooses what is in view" });
  const found = h("section", { "aria-live": "off" });
  const button = (words, onclick, label) => h("button", { type: "button", onclick, "aria-label": label }, words);
  const lassoes = button("Draw around points", () => lassoes.setAttribute("aria-pressed", String(lassoes.ariaPressed !== "true")));
  lassoes.setAttribute("aria-pressed", "true");
  const legend = h("div", { class: "row legend" }, ["no category", ...categories].map((name, category) => {
    const n = points.category.reduce((sum, one) => sum + (one === category), 0);
    const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = written(colour(category));
    return n ? button([swatch, `${name} ${n.toLocaleString("en")}`], () => choose(rowsWhere((row) => points.category[row] === category))) : null;
  }));
  place.replaceChildren(
    h("div", { class: "row" }, lassoes, button("+", () => zoomBy(STEP), "Zoom in"), button("−", () => zoomBy(1 / STEP), "Zoom out"), button("Whole map", whole), button("Choose what is in view", chooseView)),
    canvas, h("details", { open: categories.length <= 12 }, h("summary", {}, "Categories"), legend), found);

  const context = canvas.getContext("2d");
  const colours = [255, 60].map((alpha) => Uint32Array.from({ length: categories.length + 1 }, (_, category) => packed(colour(category), alpha)));
  const chosen = new Uint8Array(points.n);
  const fingers = new Map();
  let lasso = null, moved = 0, waiting = false;

  // --- between points and pixels ---------------------------------------------------------------------------------

  const box = () => canvas.getBoundingClientRect();
  const scale = () => kept.zoom * 0.92 * Math.min(canvas.clientWidth, canvas.clientHeight);
  /** From points to pixels; asked once for all points, as each look at the size of the canvas costs a layout. */
  const lens = () => {
    const k = scale();
    return { k, right: canvas.clientWidth / 2 - kept.x * k, down: canvas.clientHeight / 2 - kept.y * k };
  };
  const pointAt = (x, y) => [(x - canvas.clientWidth / 2) / scale() + kept.x, (y - canvas.clientHeight / 2) / scale() + kept.y];
  const at = (event) => [event.clientX - box().left, event.clientY - box().top];

  function rowsWhere(test) {
    const rows = [];
    for (let row = 0; row < points.n; row++) if (test(row)) rows.push(row);
    return rows;
  }

  // --- moving ------------------------------------------------------------------------------------------------------

  function move(right, down) {
    kept.x = Math.min(1, Math.max(0, kept.x - right / scale()));
    kept.y = Math.min(1, Math.max(0, kept.y - down / scale()));
    repaint();
  }

  function zoomBy(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
    const [px, py] = pointAt(x, y);
    kept.zoom = Math.min(400, Math.max(1, kept.zoom * factor));
    const [nx, ny] = pointAt(x, y);
    kept.x += px - nx;
    kept.y += py - ny;
    move(0, 0);
  }

  function whole() {
    Object.assign(kept, { x: 0.5, y: 0.5, zoom: 1 });
    repaint();
  }

  // --- choosing ----------------------------------------------------------------------------------------------------

  function chooseView() {
    const [left, top] = pointAt(0, 0), [right, bottom] = pointAt(canvas.clientWidth, canvas.clientHeight);
    choose(rowsWhere((row) => points.x[row] >= left && points.x[row] <= right && points.y[row] >= top && points.y[row] <= bottom));
  }

  function chooseNearest(x, y) {
    let best = null, least = CLOSE ** 2;
    const { k, right, down } = lens();
    for (let row = 0; row < points.n; row++) {
      const far = (points.x[row] * k + right - x) ** 2 + (points.y[row] * k + down - y) ** 2;
      if (far < least) [best, least] = [row, far];
    }
    choose(best === null ? [] : [best]);
  }

  function choose(rows) {
    kept.rows = rows;
    mark();
    say(rows.length ? `${count(rows.length, "photo")} chosen` : "no photo chosen", null, { aloud: true });
    list(SHOWN);
  }

  function mark() {
    chosen.fill(0);
    for (const row of kept.rows) chosen[row] = 1;
    repaint();
  }

  async function list(most) {
    const rows = kept.rows;
    if (!rows.length) return void found.replaceChildren();
    const pages = [];
    for (let start = 0; start < Math.min(most, rows.length); start += SHOWN) pages.push(ask(address("/v1/items", { row: rows.slice(start, start + SHOWN), limit: SHOWN })));
    try {
      const answers = await Promise.all(pages);
      if (signal.aborted || rows !== kept.rows) return;
      if (answers.some((answer) => answer.generation !== kept.generation)) return void again(); // the rows count other photos now
      const more = rows.length > most ? button(`Show more of ${rows.length.toLocaleString("en")}`, () => list(most + SHOWN)) : "";
      found.replaceChildren(h("h2", {}, count(rows.length, "photo")), h("ul", { class: "tiles small" }, answers.flatMap((answer) => answer.items).map((item) => itemTile(item, 256))), more);
    } catch (refusal) {
      if (signal.aborted) return;
      if (refusal.problem?.code === "not-in-store") return void again();
      found.replaceChildren(h("p", { class: "error" }, refusal.message));
    }
  }

  // --- drawing -----------------------------------------------------------------------------------------------------

  function repaint() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; paint(); });
  }

  /** Pixels are set directly: 200,000 rectangles would take too long for a map that follows the finger. */
  function paint() {
    const ratio = devicePixelRatio || 1;
    const { k, right, down } = lens();
    const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const small = points.n > 20000 ? 1.5 : points.n > 2000 ? 3 : 6;
    const side = Math.max(1, Math.round(ratio * Math.min(12, small * Math.sqrt(kept.zoom))));
    const some = kept.rows.length > 0;
    for (const pass of some ? [0, 1] : [0]) {
      const shade = colours[some && !pass ? 1 : 0];
      for (let row = 0; row < points.n; row++) {
        if (some && chosen[row] !== pass) continue;
        const left = Math.round((points.x[row] * k + right) * ratio - side / 2), top = Math.round((points.y[row] * k + down) * ratio - side / 2);
        if (left < 0 || top < 0 || left + side > width || top + side > height) continue;
        const tone = shade[points.category[row]];
        for (let y = top; y < top + side; y++) for (let at = y * width + left, end = at + side; at < end; at++) pixels[at] = tone;
      }
    }
    context.putImageData(image, 0, 0);
    if (lasso) outline(ratio);
  }

  function outline(ratio) {
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.beginPath();
    for (const [x, y] of lasso) context.lineTo(x, y);
    context.closePath();
    context.strokeStyle = getComputedStyle(canvas).color;
    context.lineWidth = 2;
    context.setLineDash([6, 4]);
    context.stroke();
  }

  // --- by mouse, finger and keyboard -------------------------------------------------------------------------------

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, at(event));
    moved = 0;
    lasso = fingers.size === 1 && event.button === 0 && (lassoes.ariaPressed === "true") !== event.shiftKey ? [at(event)] : null;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = at(event);
    const others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    fingers.set(event.pointerId, now);
    moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
    if (others.length) pinch(others[0], before, now);
    else if (lasso) { lasso.push(now); repaint(); }
    else move(now[0] - before[0], now[1] - before[1]);
  });
  const lift = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    const path = lasso;
    lasso = null;
    if (event.type === "pointercancel" || fingers.size) return repaint();
    if (moved < 4) chooseNearest(...at(event));
    else if (path) chooseInside(path);
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);

  function pinch(other, before, now) {
    const far = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]) || 1;
    move((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    zoomBy(far(now) / far(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  }

  function chooseInside(path) {
    const shape = new Path2D();
    for (const [x, y] of path) shape.lineTo(x, y);
    const xs = path.map(([x]) => x), ys = path.map(([, y]) => y);
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const { k, right: across, down } = lens();
    context.setTransform(1, 0, 0, 1, 0, 0);
    choose(rowsWhere((row) => {
      const x = points.x[row] * k + across, y = points.y[row] * k + down;
      return x >= left && x <= right && y >= top && y <= bottom && context.isPointInPath(shape, x, y, "evenodd");
    }));
  }

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), ...at(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const keys = { ArrowLeft: () => move(60, 0), ArrowRight: () => move(-60, 0), ArrowUp: () => move(0, 60), ArrowDown: () => move(0, -60), "+": () => zoomBy(STEP), "=": () => zoomBy(STEP), "-": () => zoomBy(1 / STEP), 0: whole, Enter: chooseView, Escape: () => choose([]) };
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  const resized = new ResizeObserver(repaint);
  resized.observe(canvas);
  signal.addEventListener("abort", () => resized.disconnect());
  if (kept.rows.length) { mark(); list(SHOWN); }
}
