// Titles, prices and other columns as the numbers that the graph takes beside a photo; `LEARNED` says what they mean.
"use strict";

// Of a longer text the beginning has to do; longer texts hold no price.
const LONGEST = 4000, LONGEST_NUMBER = 60, LARGEST = 1e300;
const PIECES = [2, 3, 4, 5];
// From here on, scripts write whole words with one to three letters and without spaces.
const DENSE = 0x2e80, DENSE_PIECES = [1, 2, 3];
const PRICED = /^[^\p{Nd}\s.,-]{0,4}\s*(-?[\p{Nd}.,\s]*\p{Nd})\s*[^\p{Nd}\s.,]{0,4}$/u;
const ENCODERS = { text: textNumbers, number: numberSteps, choice: choiceNumbers };

let encoders = null;

// A row of numbers for the columns of a photo, such as {"title": "Oat drink"}; zeros for what it does not say.
function columnNumbers(row) {
  encoders ??= LEARNED.columns.map(opened);
  return Float32Array.from(encoders.flatMap(column => {
    const value = row[column.name];
    return isMissing(value) ? new Array(column.width).fill(0) : Array.from(ENCODERS[column.kind](column, value));
  }));
}

function opened(column) {
  const numbers = new Map((column.words ?? []).map((word, i) => [word, i]));
  if (column.kind !== "text") return { ...column, numbers };
  const weights = new Float32Array(bytesOf(column.weights).buffer);
  return { ...column, numbers, weights, directions: halves(bytesOf(column.directions)) };
}

// Numbers in half precision, which not every browser reads.
function halves(bytes) {
  return Float32Array.from(new Uint16Array(bytes.buffer), half => {
    const sign = half & 0x8000 ? -1 : 1, exponent = half >> 10 & 31, rest = half & 1023;
    return sign * (exponent ? (1 + rest / 1024) * 2 ** (exponent - 15) : rest * 2 ** -24);
  });
}

const isMissing = value => value === null || value === undefined || typeof value === "string" && !value.trim();
const firstLetters = (text, most) => Array.from(text).slice(0, most).join("");

// The words of a text without accents and capitals.
function wordsOf(text) {
  const folded = Array.from(text.normalize("NFKD"), letter => LEARNED.folded[letter] ?? letter).join("");
  return folded.match(/[\p{L}\p{N}]+/gu) ?? [];
}

// A word and its pieces; a space marks where it begins or ends.
function piecesOf(word) {
  const marked = [" ", ...word, " "], dense = word.codePointAt(0) >= DENSE, pieces = [marked.join("")];
  for (const size of dense ? DENSE_PIECES : PIECES)
    for (let at = 0; size < marked.length && at + size <= marked.length; at++)
      pieces.push(marked.slice(at, at + size).join(""));
  return dense ? pieces.filter(piece => piece !== " ") : pieces;
}

// Pieces of words, weighed by how rare they are, along the directions in which texts differ.
function textNumbers(column, value) {
  const often = new Map(), row = new Float64Array(column.width);
  for (const word of wordsOf(firstLetters(String(value), LONGEST)))
    for (const piece of piecesOf(word)) often.set(piece, (often.get(piece) ?? 0) + 1);
  const known = [];
  let squares = 0;
  for (const [piece, count] of often) {
    const number = column.numbers.get(piece), strength = column.repeats ? 1 + Math.log(count) : 1;
    const weight = strength * (number === undefined ? column.unseen : column.weights[number]);
    squares += weight * weight;
    if (number !== undefined) known.push([number, weight]);
  }
  for (const [number, weight] of known)
    for (let i = 0; i < row.length; i++)
      row[i] += weight / Math.sqrt(squares) * column.directions[number * row.length + i];
  return row;
}

// A number by where it lies among those learned from.
function numberSteps({ knots, width }, value) {
  const number = typeof value === "number" ? value : numberIn(value);
  if (number === null) return new Array(width).fill(0);
  const x = Math.min(Math.max(number, -LARGEST), LARGEST);
  const steps = knots.slice(1).map((high, i) => clipped((x - knots[i]) / (high - knots[i])) - 0.5);
  return [...steps, 1].map(step => step / Math.sqrt(width));
}

const clipped = share => Math.min(Math.max(share, 0), 1);

// The number in a text such as `1.299,00 €`: the last mark parts the decimals if it stands once, others parts thousands.
function numberIn(text) {
  const found = Array.from(text).length <= LONGEST_NUMBER && text.trim().match(PRICED);
  if (!found) return null;
  const digits = found[1].replace(/\s/gu, "").replace(/\p{Nd}/gu, digit);
  const last = Math.max(digits.lastIndexOf("."), digits.lastIndexOf(","));
  const without = part => part.replace(/[.,]/g, "");
  if (last < 0 || digits.split(digits[last]).length > 2) return Number(without(digits));
  return Number(`${without(digits.slice(0, last))}.${digits.slice(last + 1)}`);
}

// A digit of any script; those of a script follow each other, from nought to nine.
function digit(letter) {
  const own = letter.codePointAt(0);
  let first = own;
  while (/\p{Nd}/u.test(String.fromCodePoint(first - 1))) first--;
  return String((own - first) % 10);
}

// A 1 for one of a few words.
function choiceNumbers(column, value) {
  const row = new Array(column.width).fill(0), number = column.numbers.get(choiceOf(String(value)));
  if (number !== undefined) row[number] = 1;
  return row;
}

const choiceOf = text => wordsOf(firstLetters(text, LONGEST)).join(" ") || text.trim();
