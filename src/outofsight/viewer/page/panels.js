"use strict";
// Pictures: context, generated, truth, difference and the fates, each framed by the phase of the frame it shows.

/** The pictures that sheets hold, loaded when first asked for. */
class Film {
  constructor(sheets) {
    this.sheets = sheets;
    this.images = [];
  }

  image(index) {
    if (!this.images[index]) {
      this.images[index] = new Image();
      this.images[index].src = this.sheets.uris[index];
    }
    return this.images[index];
  }

  /** Draw a frame onto a canvas, at once or as soon as its sheet is there (unless another is wanted by then). */
  show(canvas, frame) {
    const { width, height, cell, columns, perSheet } = this.sheets;
    const image = this.image(Math.floor(frame / perSheet));
    const place = frame % perSheet;
    const left = (place % columns) * cell[0];
    const top = Math.floor(place / columns) * cell[1];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    canvas.wanted = frame;
    const draw = () =>
      canvas.wanted === frame &&
      canvas.getContext("2d").drawImage(image, left, top, width, height, 0, 0, width, height);
    if (image.complete) draw();
    else image.addEventListener("load", draw, { once: true });
  }
}

function film(sheets) {
  return sheets ? new Film(sheets) : null;
}

const films = {
  context: film(scene.context),
  truth: film(scene.truth),
  vanished: film(scene.fates.vanished),
  frozen: film(scene.fates.frozen),
  made: runs.map((run) => film(run.made)),
  difference: runs.map((run) => film(run.difference)),
};

/** Draw a frame of the whole row: of the context, or of what a run made. */
function showAny(canvas, frame, runIndex) {
  if (frame >= scene.cut) films.made[runIndex].show(canvas, frame - scene.cut);
  else if (films.context) films.context.show(canvas, frame);
}

/** A figure with a canvas; `update(frame)` draws it. `choose(frame)` gives {film, index, phase, told} or {nothing}. */
function makePanel(title, id, choose) {
  const canvas = element("canvas", { role: "img", "aria-label": title });
  const nothing = element("div", { class: "nothing" });
  const screen = element("div", { class: "screen" }, canvas, nothing);
  const told = element("span", {});
  const figure = element("figure", { id }, screen, element("figcaption", {}, element("b", {}, title), told));
  const first = runs[0].made;
  Object.assign(canvas, { width: first.width, height: first.height });
  const update = (frame) => {
    const picture = choose(frame);
    nothing.hidden = !picture.nothing;
    nothing.textContent = picture.nothing || "";
    told.textContent = picture.told || "";
    screen.dataset.phase = picture.phase || "";
    canvas.setAttribute("aria-label", `${title}. ${picture.nothing || picture.told || ""}`);
    if (!picture.nothing) picture.film.show(canvas, picture.index);
  };
  return { figure, update };
}

/** A panel that shows something of the target only. */
function targetPanel(title, id, source, what) {
  return makePanel(title, id, (frame) => {
    if (frame < scene.cut) return { nothing: `the target begins in ${seconds(2 * scene.cut - frame).slice(1)}` };
    const phase = phaseOf(frame);
    const told = what ? what(frame - scene.cut) : phase || "";
    return { film: source, index: frame - scene.cut, phase, told };
  });
}

/** The context itself, or, in the target, the frame before the chunk that was recalled most. */
function contextPanel() {
  return makePanel("Context", "panel-context", (frame) => {
    if (frame < scene.cut)
      return { film: films.context, index: frame, phase: phaseOf(frame), told: phaseOf(frame) || "" };
    const recalled = mostRecalledContext(0, frame);
    const index = recalled ? recalled.frame : scene.cut - 1;
    const whose = runs.length > 1 ? ` by ${runs[0].name}` : "";
    const told = recalled ? `recalled most${whose}: ${seconds(index)}, ${percent(recalled.share)}` : "its last frame";
    const phase = phaseOf(index);
    const place = index < scene.cut ? { film: films.context, index } : { film: films.made[0], index: index - scene.cut };
    return { ...place, phase, told: phase ? `${told} · ${phase}` : told };
  });
}

function runPanels(run, index) {
  const of = runs.length > 1 ? `: ${run.name}` : "";
  const score = (n) =>
    [phaseOf(n + scene.cut), run.psnr && `${run.psnr[n].toFixed(1)} dB`].filter(Boolean).join(" · ");
  const panels = [targetPanel(`Generated${of}`, `panel-generated-${index}`, films.made[index], score)];
  if (films.difference[index]) {
    const scale = () => "dark blue: equal; yellow: half of the range or more";
    panels.push(targetPanel(`Difference${of}`, `panel-difference-${index}`, films.difference[index], scale));
  }
  return panels;
}

function startPanels() {
  const ofRuns = runs.map(runPanels);
  const truth = films.truth ? [targetPanel("Truth", "panel-truth", films.truth)] : [];
  const context = films.context ? [contextPanel()] : [];
  const [generated, ...difference] = ofRuns[0];
  const panels =
    runs.length > 1
      ? [...context, ...ofRuns[0], ...truth, ...ofRuns[1]]
      : [...context, generated, ...truth, ...difference];
  const fates = ["vanished", "frozen"]
    .filter((name) => films[name])
    .map((name) => {
      const title = name === "vanished" ? "Fate: vanished" : "Fate: frozen";
      return targetPanel(title, `panel-${name}`, films[name]);
    });
  const place = byId("panels");
  for (const panel of [...panels, ...fates]) {
    place.append(panel.figure);
    follow((frame) => panel.figure.hidden || panel.update(frame));
  }
  for (const panel of fates) panel.figure.hidden = true;
  if (fates.length) startFates(fates);
  arrangePanels();
  const used = ["visible", "hidden", "re-entered", "unseen"].filter((word) => scene.phases.includes(word));
  byId("phase-legend").append(...phaseSwatches(used));
}

/** Six and more stand in rows of three: of two runs, context and truth in one column, each run beside them. */
function arrangePanels() {
  const shown = document.querySelectorAll("#panels figure:not([hidden])").length;
  byId("panels").classList.toggle("three", shown >= 6);
}

function startFates(fates) {
  byId("fates-option").hidden = false;
  byId("fates").addEventListener("change", (event) => {
    for (const panel of fates) {
      panel.figure.hidden = !event.target.checked;
      if (event.target.checked) panel.update(clock.frame);
    }
    arrangePanels();
  });
}
