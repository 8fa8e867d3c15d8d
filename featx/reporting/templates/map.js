"use strict";
(() => {
  const canvas = document.getElementById("map-canvas");
  if (!canvas) return;
  const drawn = JSON.parse(document.getElementById("map-data").textContent);
  const bytes = Uint8Array.from(atob(drawn.points), (c) => c.charCodeAt(0));
  const points = new Uint16Array(bytes.buffer), n = points.length / 4, NONE = 65535;
  const colours = JSON.parse(document.getElementById("colours").textContent), tip = document.getElementById("map-tip"), box = canvas.parentElement;
  const chosen = document.getElementById("map-category");
  const view = { scale: 1, x: 0, y: 0 };
  let wide = 0, high = 0, fit = 1, stretch = 1, waiting = false, held = -1;
  const style = () => getComputedStyle(document.documentElement);
  const px = (i) => wide / 2 + (points[4 * i] / 65534 - 0.5) * fit * stretch * view.scale + view.x;
  const py = (i) => high / 2 + (points[4 * i + 1] / 65534 - 0.5) * fit * view.scale + view.y;
  // A name stands where its category is thickest: the middle of one in several groups belongs to another.
  const members = new Map();
  for (let i = 0; i < n; i++) {
    const category = points[4 * i + 2];
    if (category === NONE) continue;
    if (!members.has(category)) members.set(category, []);
    members.get(category).push(i);
  }
  const middle = (numbers) => numbers.sort((a, b) => a - b)[numbers.length >> 1];
  const names = [...members].map(([category, own]) => {
    const cells = new Map();
    for (const i of own) {
      const cell = (points[4 * i] >> 12) * 16 + (points[4 * i + 1] >> 12);
      if (!cells.has(cell)) cells.set(cell, []);
      cells.get(cell).push(i);
    }
    const thick = [...cells.values()].reduce((a, b) => (b.length > a.length ? b : a));
    const x = middle(thick.map((i) => points[4 * i])), y = middle(thick.map((i) => points[4 * i + 1]));
    let best = thick[0], least = Infinity;
    for (const i of thick) {
      const far = (points[4 * i] - x) ** 2 + (points[4 * i + 1] - y) ** 2;
      if (far < least) { least = far; best = i; }
    }
    const full = drawn.classes[category];
    return { category, at: best, n: own.length, text: full.length > 26 ? `${full.slice(0, 25)}…` : full };
  }).sort((a, b) => b.n - a.n);
  const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => points[4 * a + 2] - points[4 * b + 2]);

  const scene = document.createElement("canvas");
  let stale = true;
  const size = () => Math.max(1.1, Math.min(6, (0.13 * fit) / Math.sqrt(n) + 0.6)) * Math.min(2.4, Math.sqrt(view.scale));

  function draw() {
    waiting = false;
    // Pointing at a photo changes a ring; tens of thousands of dots need not be painted anew for it.
    if (stale) paint();
    stale = false;
    const pen = canvas.getContext("2d"), ratio = devicePixelRatio || 1;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    if (scene.width && scene.height) pen.drawImage(scene, 0, 0);
    if (held < 0) return;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.strokeStyle = style().getPropertyValue("--ink").trim();
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(px(held), py(held), size() + 3.5, 0, 7);
    pen.stroke();
  }
  function paint() {
    scene.width = canvas.width;
    scene.height = canvas.height;
    const pen = scene.getContext("2d"), ratio = devicePixelRatio || 1, only = chosen.value === "" ? -1 : Number(chosen.value);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    const radius = size();
    const faint = style().getPropertyValue("--rule").trim(), grey = style().getPropertyValue("--grey").trim();
    for (const pass of only < 0 ? [1] : [0, 1]) {
      for (const i of order) {
        const x = px(i), y = py(i), category = points[4 * i + 2];
        if (x < -9 || y < -9 || x > wide + 9 || y > high + 9) continue;
        const lit = only < 0 || category === only;
        if (only >= 0 && lit !== (pass === 1)) continue;
        const colour = !lit ? faint : category === NONE ? grey : colours[category % colours.length];
        if (radius < 1.8) {
          pen.fillStyle = colour;
          pen.fillRect(x - radius, y - radius, 2 * radius, 2 * radius);
          continue;
        }
        pen.beginPath();
        pen.arc(x, y, radius, 0, 7);
        if (lit && category !== NONE && Math.floor(category / colours.length) % 2 && radius > 2) {
          pen.strokeStyle = colour;
          pen.lineWidth = Math.max(1, radius * 0.5);
          pen.stroke();
        } else {
          pen.fillStyle = colour;
          pen.fill();
        }
      }
    }
    write(pen, only);
  }
  function write(pen, only) {
    const placed = [];
    pen.font = `600 12px ${style().getPropertyValue("--sans")}`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    pen.lineWidth = 3.5;
    pen.strokeStyle = style().getPropertyValue("--card").trim();
    pen.fillStyle = style().getPropertyValue("--ink").trim();
    for (const name of names) {
      if (only >= 0 && name.category !== only) continue;
      const half = pen.measureText(name.text).width / 2 + 4;
      const x = Math.max(half, Math.min(wide - half, px(name.at))), y = py(name.at);
      if (px(name.at) < 0 || px(name.at) > wide || y < 9 || y > high - 9) continue;
      if (placed.some((one) => Math.abs(one.x - x) < one.half + half && Math.abs(one.y - y) < 17)) continue;
      placed.push({ x, y, half });
      pen.strokeText(name.text, x, y);
      pen.fillText(name.text, x, y);
    }
  }
  const soon = (anew = true) => { stale = stale || anew; if (!waiting) { waiting = true; requestAnimationFrame(draw); } };
  function measure() {
    const ratio = devicePixelRatio || 1;
    wide = canvas.clientWidth;
    high = canvas.clientHeight;
    canvas.width = wide * ratio;
    canvas.height = high * ratio;
    fit = Math.min(wide, high) - 28;
    // The axes of the map mean nothing, so a wide screen may draw it wider.
    stretch = Math.max(1, Math.min(1.7, (wide - 28) / fit));
    soon();
  }
  const around = (x, y, factor) => {
    const scale = Math.min(60, Math.max(1, view.scale * factor)), real = scale / view.scale;
    view.x = (view.x + wide / 2 - x) * real + x - wide / 2;
    view.y = (view.y + high / 2 - y) * real + y - high / 2;
    view.scale = scale;
    if (scale === 1) { view.x = 0; view.y = 0; }
    // At the outermost view a finger scrolls the page, or nobody could get past the map.
    canvas.style.touchAction = scale === 1 ? "pan-y" : "none";
    held = -1;
    tip.hidden = true;
    soon();
  };
  function nearest(x, y, within = 18) {
    let best = -1, least = within * within;
    const only = chosen.value === "" ? -1 : Number(chosen.value);
    for (let i = 0; i < n; i++) {
      if (only >= 0 && points[4 * i + 2] !== only) continue;
      const dx = px(i) - x, dy = py(i) - y, far = dx * dx + dy * dy;
      if (far < least) { least = far; best = i; }
    }
    return best;
  }
  function show(i) {
    held = i;
    soon(false);
    tip.hidden = i < 0;
    if (i < 0) return;
    tip.replaceChildren();
    const category = points[4 * i + 2], tile = points[4 * i + 3];
    if (tile !== NONE) {
      const picture = document.createElement("i"), grow = 96 / drawn.tile;
      picture.style.backgroundImage = `url(${document.getElementById("map-sheet").src})`;
      picture.style.backgroundSize = `${drawn.tile * drawn.columns * grow}px auto`;
      picture.style.backgroundPosition = `${-96 * (tile % drawn.columns)}px ${-96 * Math.floor(tile / drawn.columns)}px`;
      tip.append(picture);
    }
    const name = document.createElement("b");
    name.textContent = category === NONE ? "–" : drawn.classes[category];
    tip.append(name);
    const id = drawn.ids_of === "points" ? drawn.ids[i] : tile === NONE ? "" : drawn.ids[tile];
    tip.append(document.createTextNode(id));
    const x = px(i), y = py(i);
    tip.style.left = `${Math.max(4, Math.min(wide - tip.offsetWidth - 4, x + 16))}px`;
    tip.style.top = `${Math.max(4, Math.min(high - tip.offsetHeight - 4, y + 16))}px`;
  }

  const down = new Map();
  let apart = 0, moved = 0;
  const place = (event) => { const at = canvas.getBoundingClientRect(); return [event.clientX - at.left, event.clientY - at.top]; };
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); down.set(event.pointerId, place(event)); apart = 0; moved = 0; });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = place(event), before = down.get(event.pointerId);
    if (!before) { show(nearest(x, y)); return; }
    down.set(event.pointerId, [x, y]);
    moved += Math.abs(x - before[0]) + Math.abs(y - before[1]);
    if (down.size === 2) {
      const [a, b] = [...down.values()], now = Math.hypot(a[0] - b[0], a[1] - b[1]);
      if (apart) around((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, now / apart);
      apart = now;
    } else {
      view.x += x - before[0];
      view.y += y - before[1];
      tip.hidden = true;
      soon();
    }
  });
  const up = (event) => { down.delete(event.pointerId); apart = 0; };
  canvas.addEventListener("pointerup", (event) => { up(event); if (moved < 9) show(nearest(...place(event))); });
  canvas.addEventListener("pointercancel", up);
  // A finger leaves as soon as it is lifted; what it asked for stays.
  canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") show(-1); });
  canvas.addEventListener("wheel", (event) => {
    // At the outermost view the wheel belongs to the page, or nobody could scroll past the map.
    if (view.scale === 1 && event.deltaY > 0) return;
    event.preventDefault();
    around(...place(event), Math.exp(-event.deltaY / 400));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
    if (move) { view.x += move[0]; view.y += move[1]; show(nearest(wide / 2, high / 2, Infinity)); }
    else if (event.key === "+" || event.key === "=") around(wide / 2, high / 2, 1.5);
    else if (event.key === "-") around(wide / 2, high / 2, 1 / 1.5);
    else if (event.key === "0") around(wide / 2, high / 2, 1e-9);
    else return;
    event.preventDefault();
  });
  for (const [id, factor] of [["map-in", 1.6], ["map-out", 1 / 1.6], ["map-all", 1e-9]])
    document.getElementById(id).addEventListener("click", () => around(wide / 2, high / 2, factor));
  chosen.addEventListener("change", () => { held = -1; tip.hidden = true; soon(); });
  new ResizeObserver(measure).observe(box);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => soon());
  addEventListener("beforeprint", () => { held = -1; tip.hidden = true; stale = true; draw(); });
  measure();
})();
