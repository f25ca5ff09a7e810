"use strict";
// What was recalled: shares of one step and block or of all, and the video frames that memory tokens cover.

/** One chunk's recall, with its picks unpacked; shares are cached for the step and block that are asked for. */
class Memory {
  constructor(recall) {
    Object.assign(this, recall);
    [this.steps, this.blocks, this.rows, this.most] = recall.shape;
    const bytes = Uint8Array.from(atob(recall.picks), (letter) => letter.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    this.list = Int16Array.from({ length: bytes.length / 2 }, (_, index) => view.getInt16(2 * index, true));
    this.step = 0; // 0: all of them
    this.block = 0;
    this.count();
  }

  /** Takes a step and a block, 0 for all of them; one that this chunk has not is all. */
  choose(step, block) {
    const [wanted, of] = [step > this.steps ? 0 : step, block > this.blocks ? 0 : block];
    if (wanted === this.step && of === this.block) return;
    this.step = wanted;
    this.block = of;
    this.count();
  }

  /** Sets `shares` [rows * tokens]: how often each row recalled each token, and the largest of them. */
  count() {
    const steps = chosen(this.step, this.steps);
    const blocks = chosen(this.block, this.blocks);
    this.shares = new Float32Array(this.rows * this.tokens);
    const each = 1 / (steps.length * blocks.length);
    for (const step of steps) for (const block of blocks) this.add(step, block, each);
    this.largest = Math.max(...this.shares, 0);
  }

  add(step, block, each) {
    const start = (step * this.blocks + block) * this.rows * this.most;
    for (let index = 0; index < this.rows * this.most; index += 1) {
      const token = this.list[start + index];
      if (token >= 0) this.shares[Math.floor(index / this.most) * this.tokens + token] += each;
    }
  }

  share(row, token) {
    return token < 0 ? 0 : this.shares[row * this.tokens + token];
  }

  /** The row (target latent frame) of a frame; -1 for one that this chunk did not make. */
  rowOf(frame) {
    if (frame < this.made[0] || frame > this.made[1]) return -1;
    return this.latentOf(frame) - this.cut;
  }

  latentOf(frame) {
    return this.spans.findIndex(([first, last]) => first <= frame && frame <= last);
  }

  /** First and last video frame that a column covers. */
  coverage([, first, last]) {
    return [this.spans[first][0], this.spans[last][1]];
  }

  /** What a row recalled: [{column, share}], most often first. */
  recalled(row) {
    if (row < 0) return [];
    return this.columns
      .map((column) => ({ column, share: this.share(row, column[0]) }))
      .filter((entry) => entry.share > 0)
      .sort((a, b) => b.share - a.share);
  }
}

function chosen(slider, count) {
  return slider === 0 ? Array.from({ length: count }, (_, index) => index) : [slider - 1];
}

/** What one run recalled: a memory for each of its chunks that has a trace, and the step and block that are shown. */
class RunMemory {
  constructor(recalls) {
    this.chunks = recalls.map((recall) => new Memory(recall));
    this.step = 0; // 0: all of them
    this.block = 0;
  }

  /** The memory of the chunk that made a frame; in the context the first one; null where that chunk has no trace. */
  at(frame) {
    const made = (memory) => memory.made[0] <= frame && frame <= memory.made[1];
    const memory = frame < scene.cut ? this.chunks[0] : this.chunks.find(made) || null;
    if (memory) memory.choose(this.step, this.block);
    return memory;
  }

  /** What was recalled for a frame, most often first, and by which memory. */
  recalled(frame) {
    const memory = this.at(frame);
    return { memory, entries: memory ? memory.recalled(memory.rowOf(frame)) : [] };
  }
}

const memories = runs.map((run) => (run.recalls.length ? new RunMemory(run.recalls) : null));

/** The earlier frame that a run recalled most for a target frame: {frame, share}, or null. */
function mostRecalledContext(index, frame) {
  const memory = memories[index] && memories[index].at(frame);
  if (!memory) return null;
  const inContext = (entry) => entry.column[2] < memory.cut;
  const best = memory.recalled(memory.rowOf(frame)).find(inContext);
  return best ? { frame: memory.coverage(best.column)[1], share: best.share } : null;
}

function seenWithin(subject, [first, last]) {
  return subject.seen.slice(first, last + 1).some((seen) => seen === 1);
}

/** Words about one cell. */
function describeCell(memory, row, column) {
  const covered = memory.coverage(column);
  const [when, what] = [`Target ${secondsRange(memory.spans[memory.cut + row])}`, secondsRange(covered)];
  const window = within(memory, row, column);
  if (column[0] < 0) return `${when}: ${what} is not in the memory${window ? ", but in the window: seen whole" : ""}.`;
  if (!memory.selectable[row][column[0]])
    return `${when}: ${what} cannot be recalled${window ? ": it is in the window" : ""}.`;
  const seen = mattering()
    .filter((subject) => seenWithin(subject, covered))
    .map((subject) => subject.name);
  const shows = seen.length ? `; ${seen.join(", ")} can be seen there` : "";
  return `${when} recalled ${what} in ${percent(memory.share(row, column[0]))} of the chosen steps and blocks${shows}.`;
}

function within(memory, row, [, first, last]) {
  const [start, end] = memory.windows[row];
  return first <= end && last >= start;
}
