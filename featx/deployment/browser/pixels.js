// Photos as the bytes that a network takes: Pillow's resize, in the same whole numbers.
"use strict";

const PRECISION = 22;
const KERNELS = {
  bilinear: { support: 1, at: x => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    support: 2,
    at: x => {
      x = Math.abs(x);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
    },
  },
};

// A picture: width, height and three bytes for each pixel.
function opaque(data) {
  const pixels = new Uint8Array(data.width * data.height * 3);
  for (let i = 0, j = 0; j < pixels.length; i += 4, j += 3) pixels.set(data.data.subarray(i, i + 3), j);
  return { width: data.width, height: data.height, pixels };
}

function prepare(picture, form) {
  const { side, resize } = form;
  const { width, height } = picture;
  if (resize === null) return resized(picture, side, [0, 0, width, height], form);
  const [across, down] = width <= height
    ? [resize, Math.trunc(resize * height / width)] : [Math.trunc(resize * width / height), resize];
  const left = halfToEven((across - side) / 2), top = halfToEven((down - side) / 2);
  const x = width / across, y = height / down;
  return resized(picture, side, [left * x, top * y, (left + side) * x, (top + side) * y], form);
}

function halfToEven(x) {
  const floor = Math.floor(x);
  return x - floor === 0.5 ? floor + floor % 2 : Math.round(x);
}

function resized(picture, side, box, form) {
  const kernel = KERNELS[form.resampling];
  if (form.reducing_gap !== null) {
    const x = Math.trunc((box[2] - box[0]) / side / form.reducing_gap) || 1;
    const y = Math.trunc((box[3] - box[1]) / side / form.reducing_gap) || 1;
    if (x > 1 || y > 1) {
      picture = reduced(picture, x, y);
      box = [box[0] / x, box[1] / y, box[2] / x, box[3] / y];
    }
  }
  const flat = along(picture, weights(picture.width, box[0], box[2], side, kernel), 0);
  return along(flat, weights(flat.height, box[1], box[3], side, kernel), 1).pixels;
}

// The mean of blocks of pixels, those at the right and lower edge smaller.
function reduced(picture, across, down) {
  const width = Math.ceil(picture.width / across), height = Math.ceil(picture.height / down);
  const pixels = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const bottom = Math.min((y + 1) * down, picture.height);
    for (let x = 0; x < width; x++) {
      const right = Math.min((x + 1) * across, picture.width);
      const count = (right - x * across) * (bottom - y * down);
      const factor = Math.trunc(Math.fround(4294967296 / (256 * count)));
      for (let c = 0; c < 3; c++) {
        let sum = count >> 1;
        for (let v = y * down; v < bottom; v++)
          for (let u = x * across; u < right; u++) sum += picture.pixels[(v * picture.width + u) * 3 + c];
        pixels[(y * width + x) * 3 + c] = Math.floor(sum * factor / 16777216);
      }
    }
  }
  return { width, height, pixels };
}

function weights(size, from, to, side, kernel) {
  [from, to] = [Math.fround(from), Math.fround(to)];
  const scale = Math.fround(to - from) / side, stretch = Math.max(scale, 1), support = kernel.support * stretch;
  return Array.from({ length: side }, (_, i) => {
    const centre = from + (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(size, Math.trunc(centre + support + 0.5));
    const shares = [];
    for (let j = first; j < last; j++) shares.push(kernel.at((j - centre + 0.5) * (1 / stretch)));
    const sum = shares.reduce((a, b) => a + b, 0);
    const whole = shares.map(share => Math.trunc(share / sum * 2 ** PRECISION + (share < 0 ? -0.5 : 0.5)));
    return { first, whole };
  });
}

// One direction of a resize: 0 across, 1 down.
function along(picture, rows, direction) {
  const { width, height, pixels } = picture;
  const size = direction === 0 ? [rows.length, height] : [width, rows.length];
  const result = new Uint8ClampedArray(size[0] * size[1] * 3);
  const step = direction === 0 ? 3 : width * 3;
  for (let y = 0; y < size[1]; y++)
    for (let x = 0; x < size[0]; x++) {
      const { first, whole } = rows[direction === 0 ? x : y];
      const start = direction === 0 ? (y * width + first) * 3 : (first * width + x) * 3;
      for (let c = 0; c < 3; c++) {
        let sum = 1 << PRECISION - 1;
        for (let j = 0, at = start + c; j < whole.length; j++, at += step) sum += pixels[at] * whole[j];
        result[(y * size[0] + x) * 3 + c] = sum >> PRECISION;
      }
    }
  return { width: size[0], height: size[1], pixels: new Uint8Array(result.buffer) };
}
