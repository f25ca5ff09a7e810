"use strict";
// What the cursor's frame recalled, as pictures; and the sliders that choose step and block.

const SHOWN = 8; // recalled frames at most

/** A list of the recalled frames of one run; `update(frame)` fills it. */
function makeRecalled(place, run, runIndex) {
  const list = place.querySelector(".recalled");
  const title = place.querySelector(".recalled-title");
  return (frame) => {
    const { memory, entries } = run.recalled(frame);
    const lacking = memory ? "" : ": no trace of this chunk";
    title.textContent =
      frame < scene.cut ? "Recalled frames: none in the context" : `Recalled at ${seconds(frame)}${lacking}`;
    list.replaceChildren(...entries.slice(0, SHOWN).map((entry) => recalledItem(memory, entry, runIndex)));
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

/** A slider over things, 0 standing for all; `change` is called with the position. Returns what sets count and place. */
function startSlider(slider, said, words, change) {
  const tell = () => {
    const told = words(Number(slider.value));
    said.textContent = told;
    slider.setAttribute("aria-valuetext", told);
  };
  slider.addEventListener("input", () => {
    tell();
    change(Number(slider.value));
  });
  return (count, value) => {
    slider.max = String(count);
    slider.value = String(value);
    tell();
  };
}

function stepWords(memory, step) {
  if (step === 0) return `all ${memory.steps}`;
  const sigma = memory.sigmas[step - 1];
  return `${step} of ${memory.steps}${sigma === null ? "" : `, noise ${sigma.toFixed(2)}`}`;
}

/** A list of the chunks that have a trace; choosing one moves the cursor to its first frame. */
function startChunks(option, run) {
  const list = option.querySelector("select");
  option.hidden = run.chunks.length < 2;
  list.append(
    ...run.chunks.map(({ chunk, made }) => element("option", { value: chunk }, `${chunk + 1}: ${secondsRange(made)}`)),
  );
  list.addEventListener("change", () => setFrame(run.chunks[list.selectedIndex].made[0]));
  return (memory) => {
    list.selectedIndex = run.chunks.indexOf(memory);
  };
}

/** Everything about one run's memory. */
function startRecall(place, index) {
  const run = memories[index];
  if (!run) {
    const why = element("p", { class: "hint" }, "No trace of what was recalled: see the notes above.");
    place.querySelector(".recall").replaceChildren(element("h3", {}, "Retrieval map"), why);
    place.querySelector(".recalled-title").remove();
    return null;
  }
  const part = (name) => place.querySelector(name);
  const map = new RecallMap(place, run);
  const showRecalled = makeRecalled(place, run, index);
  const again = () => {
    refresh();
    map.draw();
  };
  const setStep = startSlider(
    part(".step"),
    part(".step-said"),
    (step) => stepWords(map.memory, step),
    (value) => {
      run.step = value;
      again();
    },
  );
  const setBlock = startSlider(
    part(".block"),
    part(".block-said"),
    (block) => (block ? `${block} of ${map.memory.blocks}` : `all ${map.memory.blocks}`),
    (value) => {
      run.block = value;
      again();
    },
  );
  const showChunk = startChunks(part(".chunk-option"), run);
  part(".hits").textContent = hitWords(runs[index].hits);
  let shown = null;
  follow((frame) => {
    map.update(frame);
    showRecalled(frame);
    if (map.memory === shown) return;
    shown = map.memory;
    showChunk(shown);
    for (const slider of [part(".step"), part(".block")]) slider.disabled = !shown;
    if (!shown) return;
    setStep(shown.steps, shown.step);
    setBlock(shown.blocks, shown.block);
  });
  return map;
}

function hitWords(hits) {
  if (!hits) return "";
  return (
    `While the subject is back in view, ${percent(hits[0])} of what was recalled ` +
    `shows it; drawn at random it would be ${percent(hits[1])}.`
  );
}
