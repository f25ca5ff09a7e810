"use strict";
// The retrieval map: which memory tokens each target latent frame recalled.

/** The drawing of one run's map, of the chunk that made the cursor's frame. `place`: the run's part of the page. */
class RecallMap {
  constructor(place, run) {
    this.run = run;
    this.memory = run.at(clock.frame); // null: that chunk has no trace
    this.box = place.querySelector(".recall-map");
    this.readout = place.querySelector(".readout");
    this.subjects = mattering();
    this.svg = drawn("svg", { role: "img" });
    this.box.append(this.svg);
    this.svg.addEventListener("pointermove", (event) => this.tell(event));
    this.svg.addEventListener("pointerleave", () => this.tellRow(clock.frame));
    dragToFrame(this.svg, (event) => this.frameAt(event));
    this.legend(place.querySelector(".recall-legend"));
  }

  /** Sizes for the width that there is. */
  measure() {
    const width = this.box.clientWidth;
    const strip = 18;
    this.left = 74;
    this.top = 6 + strip * Math.max(this.subjects.length, 0);
    this.cellWidth = (width - this.left - 4) / this.memory.columns.length;
    this.cellHeight = Math.max(12, Math.min(22, 460 / this.memory.rows));
    this.bottom = this.top + this.cellHeight * this.memory.rows;
    fill(this.svg, { viewBox: `0 0 ${width} ${this.bottom + 44}`, height: this.bottom + 44 }, []);
  }

  draw() {
    this.svg.replaceChildren();
    this.svg.toggleAttribute("hidden", !this.memory);
    if (!this.memory) {
      this.readout.textContent = `No trace of the chunk that made the frame at ${seconds(clock.frame)}.`;
      return;
    }
    this.measure();
    this.sayLegend();
    this.drawStrips();
    this.cells = drawn("g", {});
    this.svg.append(this.cells);
    this.drawCells();
    this.drawRows();
    this.drawColumns();
    this.rowCursor = drawn("rect", { class: "row-cursor" });
    this.columnCursor = drawn("rect", { class: "column-cursor" });
    this.svg.append(this.rowCursor, this.columnCursor);
    this.update(clock.frame);
  }

  x(column) {
    return this.left + column * this.cellWidth;
  }

  y(row) {
    return this.top + row * this.cellHeight;
  }

  /** Along the memory axis, above the cells: where each subject could be seen. */
  drawStrips() {
    this.subjects.forEach((subject, index) => {
      const y = 4 + 18 * index;
      const name = this.subjects.length > 1 ? subject.name : "seen";
      const words = label(this.left - 6, y + 12, shortened(name, 6), { "text-anchor": "end" });
      words.append(drawn("title", {}, `where ${subject.name} was visible`));
      this.svg.append(words);
      this.memory.columns.forEach((column, number) => {
        if (!seenWithin(subject, this.memory.coverage(column))) return;
        this.svg.append(
          drawn("rect", { class: "seen-mark", x: this.x(number), y: y + 2, width: this.cellWidth + 0.4, height: 10 }),
        );
      });
    });
  }

  drawCells() {
    this.cells.replaceChildren();
    for (let row = 0; row < this.memory.rows; row += 1) {
      this.memory.columns.forEach((column, number) => this.drawCell(row, column, number));
    }
  }

  drawCell(row, column, number) {
    const place = { x: this.x(number), y: this.y(row), width: this.cellWidth, height: this.cellHeight };
    const share = this.memory.share(row, column[0]);
    this.cells.append(drawn("rect", { class: column[0] < 0 ? "no-token" : "empty-cell", ...place }));
    if (share > 0)
      this.cells.append(drawn("rect", { class: "cell", "fill-opacity": share / this.memory.largest, ...place }));
    if (within(this.memory, row, column)) this.cells.append(drawn("rect", { class: "window", ...place }));
    if (column[0] >= 0 && !this.memory.selectable[row][column[0]]) this.cells.append(this.cross(place));
  }

  /** The mark of a cell that cannot be recalled. */
  cross({ x, y, width, height }) {
    const gap = Math.min(width, height) / 5;
    const [x0, x1, y0, y1] = [x + gap, x + width - gap, y + gap, y + height - gap];
    return drawn("path", { class: "masked", d: `M${x0} ${y0}L${x1} ${y1}M${x0} ${y1}L${x1} ${y0}` });
  }

  drawRows() {
    const every = Math.ceil(18 / this.cellHeight);
    for (let row = 0; row < this.memory.rows; row += 1) {
      const phase = phaseOf(this.memory.spans[this.memory.cut + row][1]);
      const y = this.y(row);
      if (phase)
        this.svg.append(
          drawn("rect", { class: `phase-${phase}`, x: this.left - 9, y: y + 1, width: 6, height: this.cellHeight - 2 }),
        );
      if (row % every) continue;
      const when = seconds(this.memory.spans[this.memory.cut + row][1]);
      this.svg.append(label(this.left - 13, y + this.cellHeight / 2 + 5, when, { "text-anchor": "end" }));
    }
  }

  drawColumns() {
    const every = Math.ceil(58 / this.cellWidth);
    this.memory.columns.forEach((column, number) => {
      if (number % every || this.x(number) > this.box.clientWidth - 52) return;
      const when = seconds(this.memory.coverage(column)[0]);
      this.svg.append(label(this.x(number), this.bottom + 17, when, {}));
    });
    const { memory } = this;
    const start = memory.columns.findIndex(([, first]) => first >= memory.cut);
    const x = this.x(start < 0 ? memory.columns.length : start);
    if (memory.chunk > 0) {
      const cut = memory.columns.findIndex((column) => memory.coverage(column)[0] >= scene.cut);
      if (cut > 0) this.drawLine(this.x(cut), this.x(cut) < x - 90 ? "the cut" : "");
    }
    this.drawLine(x, memory.chunk > 0 ? `chunk ${memory.chunk + 1}` : "the cut");
  }

  drawLine(x, words) {
    this.svg.append(drawn("line", { class: "cut-line", x1: x, x2: x, y1: 0, y2: this.bottom + 4 }));
    const side = x > this.box.clientWidth - 90 ? "end" : "start";
    this.svg.append(label(x, this.bottom + 36, words, { class: "soft", "text-anchor": side }));
  }

  update(frame) {
    const memory = this.run.at(frame);
    if (memory !== this.memory || !memory) {
      this.memory = memory;
      this.draw();
      return;
    }
    const row = this.memory.rowOf(frame);
    const latent = this.memory.latentOf(frame);
    const column = this.memory.columns.findIndex(([, first, last]) => first <= latent && latent <= last);
    const wide = this.cellWidth * this.memory.columns.length;
    fill(
      this.rowCursor,
      {
        x: this.left,
        y: this.y(Math.max(row, 0)),
        width: wide,
        height: this.cellHeight,
        visibility: row < 0 ? "hidden" : "visible",
      },
      [],
    );
    fill(
      this.columnCursor,
      {
        x: this.x(column),
        y: this.top,
        width: this.cellWidth,
        height: this.bottom - this.top,
        visibility: row < 0 && column >= 0 ? "visible" : "hidden",
      },
      [],
    );
    this.tellRow(frame);
  }

  tellRow(frame) {
    if (!this.memory) return;
    const row = this.memory.rowOf(frame);
    const words = ({ column, share }) => `${secondsRange(this.memory.coverage(column))} (${percent(share)})`;
    const best = this.memory.recalled(row).slice(0, 3).map(words);
    const told =
      row < 0
        ? "The cursor is in the context, which recalls nothing: move it into the target."
        : `Now, at ${seconds(frame)}, recalled most: ${best.join(", ") || "nothing"}.`;
    this.readout.textContent = told;
    this.svg.setAttribute(
      "aria-label",
      `Retrieval map of ${this.memory.rows} target frames and ${this.memory.tokens} memory tokens. ${told}`,
    );
  }

  /** The row and column under a pointer, or null. */
  cellAt(event) {
    if (!this.memory) return null;
    const box = this.svg.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left - this.left) / this.cellWidth);
    const row = Math.floor((event.clientY - box.top - this.top) / this.cellHeight);
    const inside = row >= 0 && row < this.memory.rows && column >= 0 && column < this.memory.columns.length;
    return inside ? { row, column } : null;
  }

  frameAt(event) {
    const cell = this.cellAt(event);
    return cell ? Math.max(this.memory.spans[this.memory.cut + cell.row][1], this.memory.made[0]) : null;
  }

  tell(event) {
    const cell = this.cellAt(event);
    if (cell) this.readout.textContent = describeCell(this.memory, cell.row, this.memory.columns[cell.column]);
  }

  legend(list) {
    const square = (...parts) =>
      drawn(
        "svg",
        { width: 18, height: 18, viewBox: "0 0 18 18", "aria-hidden": "true" },
        drawn("rect", { class: "empty-cell", x: 0.5, y: 0.5, width: 17, height: 17 }),
        ...parts,
      );
    const whole = { width: 18, height: 18 };
    const entries = [
      [
        square(drawn("rect", { class: "cell", ...whole })),
        () => `recalled in ${percent(this.memory.largest)}, paler: less often`,
      ],
      [square(drawn("rect", { class: "window", ...whole })), () => "in the frame's window: seen whole"],
      [square(this.cross({ x: 0, y: 0, ...whole })), () => "cannot be recalled"],
    ];
    if (this.run.chunks.some((memory) => memory.columns.some(([token]) => token < 0)))
      entries.push([square(drawn("rect", { class: "no-token", ...whole })), () => "not in the memory"]);
    if (this.subjects.length)
      entries.push([
        square(drawn("rect", { class: "seen-mark", y: 4, width: 18, height: 10 })),
        () => "subject was visible",
      ]);
    this.sayLegend = () =>
      list.replaceChildren(...entries.map(([picture, words]) => element("li", {}, picture, words())));
  }
}
