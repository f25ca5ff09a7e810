"use strict";
// The time cursor: one frame number over context and target, which everything on the page follows.

const followers = []; // functions of the frame
const clock = { frame: -1, timer: null };
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

/** Call `follower` with the frame, whenever it changes. */
function follow(follower) {
  followers.push(follower);
}

function setFrame(wanted) {
  const frame = Math.max(0, Math.min(total - 1, Math.round(wanted)));
  if (frame === clock.frame) return;
  clock.frame = frame;
  refresh();
}

/** Draw everything again for the frame that it is. */
function refresh() {
  for (const follower of followers) follower(clock.frame);
}

/** The frame to open with: where the subject comes back, else where the target begins. */
function firstFrame() {
  const back = scene.phases.indexOf("re-entered");
  return back < 0 ? scene.cut : back;
}

function playing() {
  return clock.timer !== null;
}

function play() {
  if (clock.frame === total - 1) setFrame(0);
  clock.timer = window.setInterval(advance, 1000 / scene.fps);
  sayPlaying();
}

function pause() {
  window.clearInterval(clock.timer);
  clock.timer = null;
  sayPlaying();
}

function togglePlay() {
  if (playing()) pause();
  else play();
}

/** One frame on; at the end from the beginning, or, where motion is to be reduced, no further. */
function advance() {
  if (clock.frame < total - 1) setFrame(clock.frame + 1);
  else if (calm.matches) pause();
  else setFrame(0);
}

function sayPlaying() {
  const button = byId("play");
  button.textContent = playing() ? "Pause" : "Play";
  button.setAttribute("aria-pressed", String(playing()));
}

function onKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const here = event.target;
  if (here.matches("select")) return; // keys choose from that list
  const slider = here.matches("input[type=range]");
  if (event.key === " ") {
    // a button, a box or a link has a use for the space bar of its own
    if (here.matches("button, input[type=checkbox], a")) return;
    event.preventDefault();
    togglePlay();
    return;
  }
  if (slider && here.id !== "time") return; // arrows move that slider
  const stride = event.shiftKey ? 5 : 1;
  const goes = { ArrowLeft: clock.frame - stride, ArrowRight: clock.frame + stride, Home: 0, End: total - 1 };
  if (!(event.key in goes)) return;
  event.preventDefault();
  setFrame(goes[event.key]);
}

/** Follow a pointer that is pressed on `node`; `toFrame` makes a frame of a pointer event, or null. */
function dragToFrame(node, toFrame) {
  const move = (event) => {
    const frame = toFrame(event);
    if (frame !== null) setFrame(frame);
  };
  node.addEventListener("pointerdown", (event) => {
    node.setPointerCapture(event.pointerId);
    move(event);
  });
  node.addEventListener("pointermove", (event) => {
    if (event.buttons & 1) move(event);
  });
}

function drawPhaseStrip() {
  const strip = byId("phase-strip");
  const words = Array.from({ length: total }, (_, frame) => phaseOf(frame) || "unknown");
  for (const part of stretches(words)) {
    const told = part.value === "unknown" ? "" : part.value;
    const piece = element("span", { class: part.value }, told);
    piece.style.flex = `${part.end - part.start} 1 0`;
    strip.append(piece);
  }
  const cut = element("span", { class: "cut" });
  cut.style.left = `${(100 * scene.cut) / total}%`;
  strip.append(cut);
}

function startTime() {
  const slider = byId("time");
  slider.max = String(total - 1);
  slider.addEventListener("input", () => setFrame(Number(slider.value)));
  byId("play").addEventListener("click", togglePlay);
  document.addEventListener("keydown", onKey);
  drawPhaseStrip();
  follow((frame) => {
    slider.value = String(frame);
    slider.setAttribute("aria-valuetext", describe(frame));
    byId("moment").textContent = describe(frame);
  });
}
