"use strict";
// The scene from above: cameras, what they see, where the subjects are, and whose view was recalled.

const LIT = 12; // recalled views at most
const MARKS = ["circle", "square", "diamond", "triangle"];

/** The box that holds everything, in metres: {left, right, low, high}. */
function groundBox() {
  const points = [...scene.ground.places];
  for (const subject of scene.subjects) points.push(...(subject.track || []));
  const [xs, zs] = [points.map((point) => point[0]), points.map((point) => point[1])];
  const box = { left: Math.min(...xs), right: Math.max(...xs), low: Math.min(...zs), high: Math.max(...zs) };
  const margin = Math.max(1, 0.12 * Math.max(box.right - box.left, box.high - box.low));
  return { left: box.left - margin, right: box.right + margin, low: box.low - margin, high: box.high + margin };
}

/** 1, 2 or 5 times a power of ten, not above `length`. */
function roundLength(length) {
  const power = 10 ** Math.floor(Math.log10(length));
  return [5, 2, 1].find((step) => step * power <= length) * power;
}

function subjectMark(kind, x, y, attributes) {
  const size = 7;
  if (kind === "circle") return drawn("circle", { cx: x, cy: y, r: size, ...attributes });
  const shapes = {
    square: `M${x - size} ${y - size}h${2 * size}v${2 * size}h${-2 * size}z`,
    diamond: `M${x} ${y - size - 2}L${x + size + 2} ${y}L${x} ${y + size + 2}L${x - size - 2} ${y}z`,
    triangle: `M${x} ${y - size - 1}L${x + size + 1} ${y + size}L${x - size - 1} ${y + size}z`,
  };
  return drawn("path", { d: shapes[kind], ...attributes });
}

class GroundMap {
  constructor(place, memory) {
    this.memory = memory;
    this.box = place.querySelector(".ground-map");
    this.svg = drawn("svg", { role: "img" });
    this.box.append(this.svg);
    this.legend(place.querySelector(".ground-legend"));
  }

  measure() {
    const width = this.box.clientWidth;
    const room = groundBox();
    const [across, along] = [room.right - room.left, room.high - room.low];
    this.height = Math.round(Math.max(260, Math.min(480, (width * along) / across)));
    this.scale = Math.min(width / across, this.height / along);
    this.origin = [
      width / 2 - (this.scale * (room.left + room.right)) / 2,
      this.height / 2 + (this.scale * (room.low + room.high)) / 2,
    ];
    this.reach = 0.38 * Math.min(width, this.height); // pixels that a view is drawn
    fill(this.svg, { viewBox: `0 0 ${width} ${this.height}`, height: this.height }, []);
  }

  at([x, z]) {
    return [this.origin[0] + this.scale * x, this.origin[1] - this.scale * z];
  }

  path(points) {
    return points
      .map(
        (point, index) =>
          `${index ? "L" : "M"}${this.at(point)
            .map((value) => value.toFixed(1))
            .join(" ")}`,
      )
      .join("");
  }

  draw() {
    this.measure();
    this.svg.replaceChildren();
    this.lit = drawn("g", {});
    this.now = drawn("g", {});
    this.svg.append(this.lit);
    const { places } = scene.ground;
    this.svg.append(drawn("path", { class: "path-context", d: this.path(places.slice(0, scene.cut)) }));
    this.svg.append(drawn("path", { class: "path-target", d: this.path(places.slice(scene.cut - 1)) }));
    scene.subjects.forEach((subject) => this.drawTrack(subject));
    this.svg.append(this.now);
    this.drawScale();
    this.update(clock.frame);
  }

  /** Solid where it is seen, dashed where it is not. */
  drawTrack(subject) {
    if (!subject.track) return;
    for (const part of stretches(subject.seen)) {
      const points = subject.track.slice(part.start, part.end + 1);
      this.svg.append(drawn("path", { class: part.value ? "track" : "track track-away", d: this.path(points) }));
    }
  }

  drawScale() {
    const metres = roundLength(110 / this.scale);
    const [x, y, length] = [12, this.height - 12, metres * this.scale];
    this.svg.append(drawn("path", { class: "scale", d: `M${x} ${y - 6}V${y}H${x + length}V${y - 6}` }));
    this.svg.append(label(x + length + 8, y + 2, `${Number(metres.toPrecision(2))} m`, { class: "halo" }));
  }

  /** What the camera of a frame sees, as far as it is drawn; a line ahead where the lens is not known. */
  view(frame, attributes) {
    const [x, y] = this.at(scene.ground.places[frame]);
    const heading = scene.ground.headings[frame];
    const tip = (angle) =>
      `${(x + this.reach * Math.sin(angle)).toFixed(1)} ${(y - this.reach * Math.cos(angle)).toFixed(1)}`;
    if (scene.ground.fov === null) return drawn("path", { d: `M${x} ${y}L${tip(heading)}`, ...attributes });
    const half = (scene.ground.fov * Math.PI) / 360;
    const large = half > Math.PI / 2 ? 1 : 0;
    return drawn("path", {
      d: `M${x} ${y}L${tip(heading - half)}A${this.reach} ${this.reach} 0 ${large} 1 ${tip(heading + half)}z`,
      ...attributes,
    });
  }

  update(frame) {
    this.lit.replaceChildren(...this.litViews(frame));
    const [x, y] = this.at(scene.ground.places[frame]);
    const here = [this.view(frame, { class: "frustum" }), drawn("circle", { class: "camera", cx: x, cy: y, r: 6 })];
    scene.subjects.forEach((subject, index) => here.push(...this.subjectNow(subject, index, frame)));
    this.now.replaceChildren(...here);
    this.describe(frame);
  }

  litViews(frame) {
    if (!this.memory) return [];
    const { memory, entries: all } = this.memory.recalled(frame);
    const entries = all.slice(0, LIT);
    return entries.map(({ column, share }) => {
      const [first, last] = memory.coverage(column);
      const light = share / memory.largest;
      // where many lie upon one another, what is under them still shows
      const opacity = light * Math.min(0.3, 1.2 / entries.length);
      return this.view(Math.floor((first + last) / 2), {
        class: "lit",
        "fill-opacity": opacity.toFixed(3),
        "stroke-opacity": (0.3 + 0.7 * light).toFixed(3),
      });
    });
  }

  subjectNow(subject, index, frame) {
    if (!subject.track || !subject.track[frame]) return [];
    const [x, y] = this.at(subject.track[frame]);
    const seen = subject.seen[frame] === 1;
    const kind = MARKS[index % MARKS.length];
    const name = shortened(subject.name, 14);
    const fits = (text) => [x + 20 + 8 * text.length < this.box.clientWidth, x > 20 + 8 * text.length]; // right, left
    const told = seen ? name : `${name} (out of view)`;
    const words = fits(told).includes(true) ? told : name;
    const right = fits(words)[0];
    return [
      subjectMark(kind, x, y, { class: seen ? "subject" : "subject-away" }),
      label(x + (right ? 13 : -13), y + 5, words, { class: "halo", "text-anchor": right ? "start" : "end" }),
    ];
  }

  describe(frame) {
    const told = scene.subjects
      .filter((subject) => subject.track && subject.track[frame])
      .map((subject) => `${subject.name} ${subject.seen[frame] ? "in view" : "out of view"}`);
    const lit = this.memory ? Math.min(LIT, this.memory.recalled(frame).entries.length) : 0;
    this.svg.setAttribute(
      "aria-label",
      `The scene from above at ${seconds(frame)}: ${[...told, `${lit} recalled views lit`].join(", ")}.`,
    );
  }

  legend(list) {
    const line = (name) => drawn("path", { class: name, d: "M1 9H29" });
    const wedge = (name, opacity) =>
      drawn("path", { class: name, d: "M3 15L25 2V17z", ...(opacity && { "fill-opacity": opacity }) });
    const entries = [
      [
        wedge("frustum"),
        scene.ground.fov === null ? "where the camera looks (its lens is not known)" : "what the camera sees",
      ],
    ];
    if (this.memory) entries.push([wedge("lit", 0.3), "recalled views, the stronger the more often"]);
    entries.push([line("path-context"), "camera, context"], [line("path-target"), "camera, target"]);
    if (scene.subjects.some((subject) => subject.track))
      entries.push([line("track"), "subject, seen"], [line("track track-away"), "subject, out of view"]);
    list.append(
      ...entries.map(([picture, words]) =>
        element(
          "li",
          {},
          drawn("svg", { width: 30, height: 18, viewBox: "0 0 30 18", "aria-hidden": "true" }, picture),
          words,
        ),
      ),
    );
  }
}

function startGround(place, index) {
  if (!scene.ground) {
    place
      .querySelector(".ground")
      .replaceChildren(
        element("h3", {}, "From above"),
        element("p", { class: "hint" }, "The cameras are not known: see the notes above."),
      );
    return null;
  }
  const map = new GroundMap(place, memories[index]);
  follow((frame) => map.update(frame));
  return map;
}
