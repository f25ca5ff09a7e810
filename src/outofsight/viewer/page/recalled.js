"use strict";
// What the cursor's frame recalled, as pictures; and the sliders that choose step and block.

const SHOWN = 8; // recalled frames at most

/** A list of the recalled frames of one run; `update(frame)` fills it. */
function makeRecalled(place, memory, runIndex) {
  const list = place.querySelector(".recalled");
  const title = place.querySelector(".recalled-title");
  return (frame) => {
    const entries = memory.recalled(memory.rowOf(frame)).slice(0, SHOWN);
    title.textContent = frame < scene.cut ? "Recalled frames: none in the context" : `Recalled at ${seconds(frame)}`;
    list.replaceChildren(...entries.map((entry) => recalledItem(memory, entry, runIndex)));
  };
}

function recalledItem(memory, { column, share }, runIndex) {
  const covered = memory.coverage(column);
  const seen = mattering().filter((subject) => seenWithin(subject, covered));
  const canvas = element("canvas", { "aria-hidden": "true" });
  showAny(canvas, covered[1], runIndex);
  const bar = element("i", {});
  bar.style.width = percent(share).replace(" ", "");
  const item = element(
    "li",
    { class: seen.length ? "seen" : "" },
    canvas,
    element("div", { class: "bar", "aria-hidden": "true" }, bar),
    element("span", {}, `${percent(share)}: ${secondsRange(covered)}`),
  );
  const names = seen.map((subject) => shortened(subject.name, 16)).join(", ");
  if (scene.subjects.length) item.append(element("span", {}, names ? `${names} visible` : "subject not visible"));
  return item;
}

/** A slider over `count` things, 0 standing for all; `change` is called with the position. */
function startSlider(slider, said, count, words, change) {
  slider.max = String(count);
  const tell = () => {
    const told = words(Number(slider.value));
    said.textContent = told;
    slider.setAttribute("aria-valuetext", told);
  };
  slider.addEventListener("input", () => {
    tell();
    change(Number(slider.value));
  });
  tell();
}

function stepWords(memory) {
  return (step) => {
    if (step === 0) return `all ${memory.steps}`;
    const sigma = memory.sigmas[step - 1];
    return `${step} of ${memory.steps}${sigma === null ? "" : `, noise ${sigma.toFixed(2)}`}`;
  };
}

/** Everything about one run's memory. */
function startRecall(place, index) {
  const memory = memories[index];
  if (!memory) {
    const why = element("p", { class: "hint" }, "No trace of what was recalled: see the notes above.");
    place.querySelector(".recall").replaceChildren(element("h3", {}, "Retrieval map"), why);
    place.querySelector(".recalled-title").remove();
    return null;
  }
  const map = new RecallMap(place, memory);
  const showRecalled = makeRecalled(place, memory, index);
  const again = () => {
    memory.count();
    map.drawCells();
    map.sayLegend();
    refresh();
  };
  const part = (name) => place.querySelector(name);
  startSlider(part(".step"), part(".step-said"), memory.steps, stepWords(memory), (value) => {
    memory.step = value;
    again();
  });
  startSlider(
    part(".block"),
    part(".block-said"),
    memory.blocks,
    (value) => (value ? `${value} of ${memory.blocks}` : `all ${memory.blocks}`),
    (value) => {
      memory.block = value;
      again();
    },
  );
  part(".hits").textContent = memory.hits
    ? `While the subject is back in view, ${percent(memory.hits[0])} of what was recalled ` +
      `shows it; drawn at random it would be ${percent(memory.hits[1])}.`
    : "";
  follow((frame) => {
    map.update(frame);
    showRecalled(frame);
  });
  return map;
}
