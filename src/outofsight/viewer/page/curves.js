"use strict";
// Curves over time: how near the prediction is to the truth, and how much of the subject can be seen.

const HEIGHT = 210;
const EDGES = { left: 52, right: 12, top: 10, bottom: 28 };

/** Values over the whole row of frames, null where there is none. */
function overAll(values, offset) {
  return Array.from({ length: total }, (_, frame) => values[frame - offset] ?? null);
}

function scoreSeries() {
  const found = runs.map(
    (run, index) =>
      run.psnr && { name: run.name, kind: `series-${index}`, marked: index > 0, values: overAll(run.psnr, scene.cut) },
  );
  const trivial = Object.entries(scene.trivial).map(([name, values], index) => ({
    name,
    kind: index === 0 ? "series-hold" : "series-view",
    values: overAll(values, scene.cut),
  }));
  return [...found.filter(Boolean), ...trivial];
}

function subjectSeries() {
  return scene.subjects.map((subject, index) => {
    const values = subject.share ? subject.share.map((share) => 100 * share) : subject.seen;
    return {
      name: subject.name,
      kind: "series-subject",
      mark: MARKS[index % MARKS.length],
      marked: index > 0,
      values: overAll(values, 0),
    };
  });
}

/** Round numbers from `low` to `high`, some four of them. */
function ticks(low, high) {
  const step = roundLength(Math.max((high - low) / 3, 1e-9));
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, index) => (first + index) * step);
}

class Chart {
  /** digits: decimals of a value; from: the least value that is shown, null for that of the data. */
  constructor({ title, unit, digits, from, series }) {
    Object.assign(this, { title, unit, digits, series });
    const values = series.flatMap((line) => line.values).filter((value) => value !== null);
    const [low, high] = [from ?? Math.min(...values), Math.max(...values)];
    const room = 0.06 * Math.max(high - low, 1e-3);
    this.low = from ?? low - room;
    this.high = high + room;
    this.svg = drawn("svg", { role: "img" });
    this.said = element("ul", { class: "legend" });
    this.figure = element("figure", { class: "chart" }, element("h3", {}, `${title}, ${unit}`), this.svg, this.said);
    dragToFrame(this.svg, (event) => this.frameAt(event));
  }

  x(frame) {
    return EDGES.left + ((this.width - EDGES.left - EDGES.right) * (frame + 0.5)) / total;
  }

  y(value) {
    return HEIGHT - EDGES.bottom - ((HEIGHT - EDGES.top - EDGES.bottom) * (value - this.low)) / (this.high - this.low);
  }

  frameAt(event) {
    const x = event.clientX - this.svg.getBoundingClientRect().left;
    return ((x - EDGES.left) * total) / (this.width - EDGES.left - EDGES.right) - 0.5;
  }

  draw() {
    this.width = this.figure.clientWidth;
    fill(this.svg, { viewBox: `0 0 ${this.width} ${HEIGHT}`, height: HEIGHT }, []);
    this.svg.replaceChildren();
    this.shade();
    this.axes();
    this.series.forEach((line) => this.drawLine(line));
    this.cursor = drawn("line", { class: "time-cursor", y1: EDGES.top, y2: HEIGHT - EDGES.bottom });
    this.svg.append(this.cursor);
    this.update(clock.frame);
  }

  /** The stretches in which the subject is hidden. */
  shade() {
    const half = (this.x(1) - this.x(0)) / 2;
    for (const part of stretches(scene.phases).filter((stretch) => stretch.value === "hidden")) {
      const [left, right] = [this.x(part.start) - half, this.x(part.end) - half];
      this.svg.append(
        drawn("rect", {
          class: "hidden-span",
          x: left,
          width: right - left,
          y: EDGES.top,
          height: HEIGHT - EDGES.top - EDGES.bottom,
        }),
      );
      if (right - left > 60) this.svg.append(label(left + 6, EDGES.top + 15, "hidden", { class: "soft halo" }));
    }
  }

  axes() {
    for (const value of ticks(this.low, this.high)) {
      const y = this.y(value);
      this.svg.append(
        drawn("line", { class: "grid-line", x1: EDGES.left, x2: this.width - EDGES.right, y1: y, y2: y }),
      );
      this.svg.append(label(EDGES.left - 6, y + 5, String(Number(value.toPrecision(6))), { "text-anchor": "end" }));
    }
    const cut = (this.x(scene.cut - 1) + this.x(scene.cut)) / 2;
    this.svg.append(
      drawn("line", { class: "cut-line", x1: cut, x2: cut, y1: EDGES.top, y2: HEIGHT - EDGES.bottom + 4 }),
    );
    this.times();
  }

  /** Times below the axis, some 90 pixels apart. */
  times() {
    const step = roundLength(((total / scene.fps) * 90) / this.width);
    const [first, last] = [-scene.cut, scene.made - 1].map((frame) => frame / scene.fps / step);
    for (let number = Math.ceil(first); number <= Math.floor(last); number += 1) {
      const time = number * step;
      const words = number === 0 ? "cut" : `${time < 0 ? "−" : "+"}${Number(Math.abs(time).toPrecision(3))} s`;
      const x = this.x(scene.cut + time * scene.fps - (number === 0 ? 0.5 : 0));
      const side = x > this.width - 30 ? "end" : "middle";
      this.svg.append(
        label(side === "end" ? this.width - 2 : x, HEIGHT - 8, words, { "text-anchor": side, class: "soft" }),
      );
    }
  }

  drawLine({ values, kind, marked, mark }) {
    let path = "";
    values.forEach((value, frame) => {
      if (value === null) return;
      path += `${values[frame - 1] == null ? "M" : "L"}${this.x(frame).toFixed(1)} ${this.y(value).toFixed(1)}`;
    });
    this.svg.append(drawn("path", { class: `series ${kind}`, d: path }));
    if (!marked) return;
    values.forEach((value, frame) => {
      if (value === null || frame % 3) return;
      const shape = mark || "square";
      const small = { transform: `translate(${this.x(frame)} ${this.y(value)}) scale(0.55)` };
      this.svg.append(drawn("g", small, subjectMark(shape, 0, 0, { class: mark ? "subject" : "mark-1" })));
    });
  }

  update(frame) {
    const x = this.x(frame);
    fill(this.cursor, { x1: x, x2: x }, []);
    this.said.replaceChildren(
      ...this.series.map((line) => {
        const value = line.values[frame];
        const sample = drawn(
          "svg",
          { width: 34, height: 14, viewBox: "0 0 34 14", "aria-hidden": "true" },
          drawn("path", { class: `series ${line.kind}`, d: "M1 7H33" }),
        );
        if (line.marked)
          sample.append(
            drawn(
              "g",
              { transform: "translate(17 7) scale(0.55)" },
              subjectMark(line.mark || "square", 0, 0, { class: line.mark ? "subject" : "mark-1" }),
            ),
          );
        return element("li", {}, sample, `${line.name}: ${value === null ? "–" : value.toFixed(this.digits)}`);
      }),
    );
    const told = this.series.map(
      (line) => `${line.name} ${line.values[frame] === null ? "not known" : line.values[frame].toFixed(this.digits)}`,
    );
    this.svg.setAttribute(
      "aria-label",
      `${this.title} in ${this.unit} over time. At ${seconds(frame)}: ${told.join(", ")}.`,
    );
  }
}

function startCurves() {
  const charts = [];
  const scores = scoreSeries();
  const subjects = subjectSeries();
  if (scores.length)
    charts.push(new Chart({ title: "PSNR against the truth", unit: "dB", digits: 1, from: null, series: scores }));
  if (subjects.length) {
    const counted = scene.subjects.some((subject) => subject.share);
    charts.push(
      new Chart({
        title: "Subject visible",
        unit: counted ? "% of the picture" : "1: in the frame",
        digits: counted ? 2 : 0,
        from: 0,
        series: subjects,
      }),
    );
  }
  byId("curves").hidden = charts.length === 0;
  for (const chart of charts) {
    byId("charts").append(chart.figure);
    follow((frame) => chart.update(frame));
  }
  return charts;
}
