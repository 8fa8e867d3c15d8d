// Photos in, categories out, with the graph of this deployment; nothing leaves the page.
"use strict";

const TOLERANCE = 1e-4;
const find = id => document.getElementById(id);
const rows = [];
let session = null;

function bytesOf(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

async function open() {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = bytesOf(self.WASM).buffer;
  session = await ort.InferenceSession.create(bytesOf(self.MODEL), { executionProviders: ["wasm"] });
  self.WASM = self.MODEL = null;
}

async function decode(blob) {
  const bitmap = await createImageBitmap(blob, { imageOrientation: "from-image" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { colorSpace: "srgb", willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return opaque(context.getImageData(0, 0, canvas.width, canvas.height));
}

async function answer(blob, columns) {
  const picture = await decode(blob), inputs = {};
  for (const form of CONTRACT.photo.inputs)
    inputs[form.name] = new ort.Tensor("uint8", prepare(picture, form), [1, form.side, form.side, 3]);
  if (CONTRACT.columns) {
    const numbers = columnNumbers(columns);
    inputs[CONTRACT.columns.input] = new ort.Tensor("float32", numbers, [1, numbers.length]);
  }
  const outputs = await session.run(inputs);
  const label = Number(outputs.label.data[0]), shares = Array.from(outputs.probabilities.data);
  const similarity = outputs.similarity.data[0], least = CONTRACT.review.similarity;
  const flags = Object.entries(CONTRACT.review.flags)
    .filter(([name, from]) => shares[CONTRACT.labels.indexOf(name)] >= Math.fround(from)).map(([name]) => name);
  const doubt = flags.length ? `may be ${flags.join(" or ")}`
    : least !== null && similarity < least ? "unlike anything learned"
    : outputs.sure.data[0] ? "" : "unsure";
  return { label, category: CONTRACT.labels[label], sure: shares[label], doubt, shares };
}

async function show(files) {
  const columns = columnsOf();
  for (const file of files) {
    let record;
    try {
      record = { name: file.name, columns, ...await answer(file, columns) };
    } catch {
      record = { name: file.name, columns, category: "", sure: null, doubt: "this browser cannot read it" };
    }
    rows.push(record);
    find("answers").hidden = find("save").disabled = false;
    find("answers").tBodies[0].append(row(record, file));
    say(`${rows.length} answered`);
  }
}

// A field for each column that the classifier counts, and what is in it.
function addFields() {
  for (const name of columnNames()) {
    const label = document.createElement("label"), field = document.createElement("input");
    field.name = name;
    label.append(name, field);
    find("columns").append(label);
  }
  find("columns").hidden = columnNames().length === 0;
}

const columnNames = () => Object.keys(CONTRACT.columns?.kinds ?? {});
const columnsOf = () => Object.fromEntries(
  Array.from(find("columns").querySelectorAll("input"), field => [field.name, field.value]));

function row(record, file) {
  const line = document.createElement("tr"), image = new Image();
  image.alt = "";
  image.src = URL.createObjectURL(file);
  image.onload = image.onerror = () => URL.revokeObjectURL(image.src);
  const cells = [image, record.name, record.category, record.sure === null ? "" : shown(record.sure), record.doubt];
  for (const content of cells) line.insertCell().append(content);
  line.classList.toggle("doubt", record.doubt !== "");
  return line;
}

// Two decimals, rounded down: 0.999 is not certain.
const shown = share => (Math.floor(100 * share + 1e-9) / 100).toFixed(2);
const say = text => { find("state").textContent = text; };

// A cell that a spreadsheet would compute begins with an apostrophe.
function cell(value) {
  const text = String(value ?? ""), safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return `"${safe.replaceAll('"', '""')}"`;
}

function save() {
  const names = columnNames(), cells = r => [r.name, r.category, r.sure, r.doubt, ...names.map(name => r.columns[name])];
  const lines = [["name", "category", "sure", "needs a look", ...names], ...rows.map(cells)];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", lines.map(line => line.map(cell).join(",")).join("\r\n")]));
  link.download = "categories.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// The golden photos against the answers of featx: a browser decodes and manages colours in its own way.
async function check() {
  let same = 0, apart = 0;
  for (const photo of GOLDEN) {
    const own = await answer(new Blob([bytesOf(photo.data)]), photo.columns);
    same += own.label === photo.label;
    apart = Math.max(apart, ...own.shares.map((share, i) => Math.abs(share - photo.shares[i])));
  }
  say(`${same} of ${GOLDEN.length} drawn photos get the category that featx gives them, probabilities within `
    + `${apart < TOLERANCE ? TOLERANCE : apart.toFixed(3)}`);
}

function listen() {
  const drop = find("drop");
  addFields();
  find("choose").addEventListener("change", event => show(event.target.files));
  find("save").addEventListener("click", save);
  find("check").addEventListener("click", check);
  find("check").disabled = false;
  addEventListener("paste", event => show(event.clipboardData.files));
  addEventListener("dragover", event => { event.preventDefault(); drop.classList.add("over"); });
  addEventListener("dragleave", () => drop.classList.remove("over"));
  addEventListener("drop", event => {
    event.preventDefault();
    drop.classList.remove("over");
    show(event.dataTransfer.files);
  });
}

open().then(() => { listen(); say("Ready"); }, error => say(`This browser cannot run the classifier: ${error.message}`));
