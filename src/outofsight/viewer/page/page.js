"use strict";
// Puts the page together and starts it.

function fillHeader() {
  byId("clip-name").textContent =
    runs.length > 1 ? `${scene.name}: ${runs[0].name} and ${runs[1].name}` : `${scene.name}: ${runs[0].name}`;
  byId("caption").textContent = scene.caption;
  for (const run of runs) {
    const of = runs.length > 1 ? `${run.name}: ` : "";
    byId("warnings").append(...run.warnings.map((line) => element("p", { class: "warning" }, of + line)));
  }
  byId("notes").append(...report.notes.map((line) => element("li", {}, line)));
}

function fillScores() {
  if (!report.scores.length) return;
  byId("scores").hidden = false;
  const [head, ...rows] = report.scores;
  byId("fate-hint").hidden = !head.includes("nearest fate");
  const line = (cells, tag) =>
    element(
      "tr",
      {},
      ...cells.map((cell, index) =>
        element(index ? tag : "th", { scope: index ? (tag === "th" ? "col" : "") : "row" }, cell),
      ),
    );
  byId("score-table").append(
    element("thead", {}, line(head, "th")),
    element("tbody", {}, ...rows.map((row) => line(row, "td"))),
  );
}

function fillFacts() {
  for (const run of runs) {
    const list = element("dl", {});
    for (const [name, value] of run.facts) list.append(element("dt", {}, name), element("dd", {}, value));
    byId("facts").append(runs.length > 1 ? element("div", {}, element("h3", {}, run.name), list) : list);
  }
}

/** A part of the page for each run: its retrieval map and the scene from above. Returns what is to be drawn. */
function startRuns() {
  const drawings = [];
  byId("runs").classList.toggle("two", runs.length > 1);
  runs.forEach((run, index) => {
    const place = byId("run-template").content.firstElementChild.cloneNode(true);
    byId("runs").append(place);
    place.setAttribute("aria-label", `Memory of ${run.name}`);
    const title = place.querySelector(".run-name");
    title.textContent = runs.length > 1 ? `Memory of ${run.name}` : "Memory";
    drawings.push(startRecall(place, index), startGround(place, index));
  });
  return drawings.filter(Boolean);
}

function start() {
  fillHeader();
  fillScores();
  fillFacts();
  startTime();
  startPanels();
  const drawings = [...startRuns(), ...startCurves()];
  clock.frame = firstFrame();
  const drawAll = () => drawings.forEach((drawing) => drawing.draw());
  drawAll();
  refresh();
  // drawings take the width that there is, so that their text keeps its size
  let width = document.body.clientWidth;
  new ResizeObserver(() => {
    if (document.body.clientWidth === width) return;
    width = document.body.clientWidth;
    drawAll();
  }).observe(document.body);
}

start();
