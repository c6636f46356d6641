// Renders every job of jobs.json to 128x128 RGB, on white or its background, appended in order to
// one raw file. Run inside the directory that holds node_modules:
//   node render.mjs jobs.json images.u8
// A drawing that cannot be read is left white; data.py drops it.
import { createRequire } from "node:module";
import { readFileSync, openSync, writeSync, closeSync } from "node:fs";

const require = createRequire(process.cwd() + "/");
const sharp = require("sharp");
const SIZE = 128;

// Iconify keeps bodies without the outer <svg>; asking for 128 pixels there
// makes the rasteriser draw at that size instead of scaling a small bitmap.
function svg(pack, name) {
  const icon = pack.icons[name];
  const w = icon.width ?? pack.width ?? 16, h = icon.height ?? pack.height ?? 16;
  const box = `${icon.left ?? 0} ${icon.top ?? 0} ${w} ${h}`;
  return Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ` +
    `width="${SIZE}" height="${SIZE}" viewBox="${box}">${icon.body}</svg>`);
}

// A file at the density that makes an SVG's longer side SIZE pixels.
async function file(path) {
  const bytes = readFileSync(path);
  if (!path.endsWith(".svg")) return sharp(bytes);
  const { width, height } = await sharp(bytes).metadata();
  return sharp(bytes, { density: Math.min(2400, Math.max(1, 72 * SIZE / Math.max(width, height))) });
}

const [jobsPath, outPath] = process.argv.slice(2);
const jobs = JSON.parse(readFileSync(jobsPath, "utf8"));
const packs = {};
const out = openSync(outPath, "w");
let unread = 0;
for (const job of jobs) {
  const background = job.background ?? "#ffffff";
  let pixels;
  try {
    const image = job.file ? await file(job.file) : sharp(svg(packs[job.pack] ??= require(`${job.pack}/icons.json`), job.icon));
    pixels = await image
      .resize(SIZE, SIZE, { fit: "contain", background })
      .flatten({ background })
      .toColourspace("srgb").removeAlpha().raw().toBuffer();
  } catch (error) {
    console.error(`${job.file ?? job.icon}: ${error.message.split("\n")[0]}`);
    pixels = Buffer.alloc(SIZE * SIZE * 3, 255);
    unread++;
  }
  if (pixels.length !== SIZE * SIZE * 3) throw new Error(`${JSON.stringify(job)}: ${pixels.length} bytes`);
  writeSync(out, pixels);
}
closeSync(out);
console.log(`${jobs.length} images, ${unread} of them unreadable`);
