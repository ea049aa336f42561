// One reading of the answer through a lens: typed arrays and how to ask them.

const ARRAYS = { f4: Float32Array, u2: Uint16Array, u4: Uint32Array };

/** The numbers of a packed array; exact, see bot/render/viewer_data.py. */
function unpack({ t, b }) {
  const text = atob(b);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return new ARRAYS[t](bytes.buffer);
}

class Lens {
  constructor(raw) {
    this.name = raw.name;
    this.kind = /^jacob/i.test(raw.name) ? "jacobian" : /^tuned/i.test(raw.name) ? "tuned" : raw.name === "logit" ? "logit" : "other";
    this.k = raw.k;
    this.pivotal = raw.pivotal;
    this.figures = raw.figures;
    ["top", "probs", "emitted", "rank", "entropy", "kl"].forEach((name) => (this[name] = unpack(raw[name])));
    this.kept = new Set(this.top);
    this.measured = new Map();
    if (raw.watched) this.#measure(raw.watched);
  }

  /** Watched words that were followed at every depth, by the token that stands for each. */
  #measure({ words, tokens, whole: wholes, probs }) {
    const all = unpack(probs);
    const size = LENGTH * (DEPTHS + 1);
    words.forEach((word, i) => {
      this.measured.set(tokens[i], { word, whole: wholes[i], probs: all.subarray(i * size, (i + 1) * size) });
    });
  }

  at(t, d) {
    return t * (DEPTHS + 1) + d;
  }

  topToken(t, d) {
    return this.top[this.at(t, d) * this.k];
  }

  /** The kept candidates of a cell, likeliest first. */
  best(t, d) {
    const from = this.at(t, d) * this.k;
    return Array.from({ length: this.k }, (_, i) => ({ token: this.top[from + i], prob: this.probs[from + i] }));
  }

  /** A token's probability where it is known: emitted, followed, or kept; null elsewhere, never 0. */
  probability(t, d, token) {
    const cell = this.at(t, d);
    if (token === data.answer[t]) return this.emitted[cell];
    if (this.measured.has(token)) return this.measured.get(token).probs[cell];
    const place = this.place(t, d, token);
    return place < 0 ? null : this.probs[cell * this.k + place];
  }

  /** Where a token stands among the kept candidates of a cell; -1 when it does not. */
  place(t, d, token) {
    const from = this.at(t, d) * this.k;
    return this.top.subarray(from, from + this.k).indexOf(token);
  }

  curve(t, token) {
    return Array.from({ length: DEPTHS + 1 }, (_, d) => this.probability(t, d, token));
  }
}

const lenses = data.lenses.map((raw) => new Lens(raw));

/** The greatest value of a reading at any depth but the input's, in any lens: all lenses share one scale. */
function greatest(name) {
  const values = lenses.flatMap((lens) => Array.from(lens[name]).filter((v, i) => i % (DEPTHS + 1) && Number.isFinite(v)));
  return values.reduce((a, b) => Math.max(a, b), 1e-6);
}

const MOST = { entropy: greatest("entropy"), kl: greatest("kl"), rank: greatest("rank") };

/** What a cell's colour may mean: its array, its place on the scale (1 is bright), and the legend's ticks. */
const METRICS = {
  prob: { of: "emitted", share: (v) => Math.sqrt(v), ticks: [0, 0.05, 0.25, 0.5, 1], text: (p) => percent(p).replace(".0%", "%") },
  entropy: { of: "entropy", share: (v) => 1 - v / MOST.entropy, ticks: spread(MOST.entropy, (x) => x), text: brief },
  kl: { of: "kl", share: (v) => 1 - Math.sqrt(v / MOST.kl), ticks: spread(MOST.kl, (x) => x * x), text: brief },
  rank: {
    of: "rank",
    share: (v) => 1 - Math.log10(v + 1) / Math.log10(MOST.rank + 2),
    ticks: [...powers(MOST.rank + 1)].reverse(),
    text: (v) => whole(v + 1),
  },
};

/** Five values from dim to bright, the last of them 0. */
function spread(most, bend) {
  return [1, 0.75, 0.5, 0.25, 0].map((x) => most * bend(x));
}

/** Ranks, from 0, that are written 1, 10, 100 …; every other one when there are many. */
function powers(most) {
  const all = [];
  for (let n = 1; n <= most; n *= 10) all.push(n - 1);
  return all.length > 5 ? all.filter((_, i) => i % 2 === 0) : all;
}
