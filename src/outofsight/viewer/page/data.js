"use strict";
// The data of the page, and small makers of elements. Text goes in as text only: names and prompts are never markup.

const report = JSON.parse(document.getElementById("data").textContent);
const scene = report.scene;
const runs = report.runs;
const total = scene.cut + scene.made; // frames of context and target in a row

function byId(id) {
  return document.getElementById(id);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, String(value));
  for (const child of children) node.append(child);
  return node;
}

/** An HTML element; children are elements or text. */
function element(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element. */
function drawn(tag, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/** SVG text with a class. */
function label(x, y, text, attributes) {
  return drawn("text", { x, y, ...attributes }, text);
}

function percent(share) {
  return `${Math.round(100 * share)} %`;
}

/** Seconds of a frame from the first target frame on, with its sign: "−2.3 s". */
function seconds(frame) {
  const value = (frame - scene.cut) / scene.fps;
  const sign = value < 0 ? "−" : value > 0 ? "+" : "";
  return `${sign}${Math.abs(value).toFixed(1)} s`;
}

/** "−2.3 to −2.2 s", or the one time where both are one frame. */
function secondsRange([first, last]) {
  return first === last ? seconds(first) : `${seconds(first).slice(0, -2)} to ${seconds(last)}`;
}

function phaseOf(frame) {
  return scene.phases[frame] || null;
}

/** Where a frame is, in words: "target frame 8 of 25 · +1.2 s · re-entered". */
function describe(frame) {
  const target = frame >= scene.cut;
  const number = target ? frame - scene.cut + 1 : frame + 1;
  const place = `${target ? "target" : "context"} frame ${number} of ${target ? scene.made : scene.cut}`;
  return [place, seconds(frame), phaseOf(frame)].filter(Boolean).join(" · ");
}

/** Runs of equal values: [{value, start, end}] with end exclusive. */
function stretches(values) {
  const found = [];
  values.forEach((value, index) => {
    const last = found[found.length - 1];
    if (last && last.value === value) last.end = index + 1;
    else found.push({ value, start: index, end: index + 1 });
  });
  return found;
}

function mattering() {
  return scene.subjects.filter((subject) => subject.matters);
}

function shortened(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function phaseSwatches(words) {
  return words.map((word) => element("li", {}, element("span", { class: "swatch", "data-phase": word }), word));
}
