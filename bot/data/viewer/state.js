// What is chosen on the page, who wants to know of it, and the two themes.

const state = {
  lens: lenses[0],
  metric: "prob",
  t: lenses[0].pivotal === null ? 0 : lenses[0].pivotal,
  d: DEPTHS,
  words: [...new Set([...lenses[0].measured.values()].map((followed) => followed.word))],
};

const listeners = [];

/** Change what is chosen and draw again whatever shows it. */
function choose(changes) {
  const changed = new Set(Object.keys(changes).filter((name) => state[name] !== changes[name]));
  Object.assign(state, changes);
  if (changed.size) listeners.forEach(({ names, draw }) => names.some((name) => changed.has(name)) && draw());
}

/** Draw now, and again after a change of one of these. */
function drawOn(names, draw) {
  listeners.push({ names, draw });
}

function drawAll() {
  listeners.forEach(({ draw }) => draw());
}

const root = document.documentElement;
const darkWanted = matchMedia("(prefers-color-scheme: dark)");
const stillWanted = matchMedia("(prefers-reduced-motion: reduce)");
const theme = () => root.dataset.theme;
const ink = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();

// Okabe and Ito's colours, safe for colour-blind eyes, for each ground.
const SERIES = {
  dark: ["#5fd3f3", "#f0a43a", "#3fcf9f", "#f08a5d", "#e29ac4", "#f0e442", "#9db4ff", "#c9a57a"],
  light: ["#0b6e99", "#b36b00", "#00795a", "#c04a00", "#a0457c", "#6b6400", "#3f51b5", "#7a5230"],
};
const WATCH = { dark: ["#f0e442", "#e29ac4", "#9db4ff", "#c9a57a", "#8fe36b"], light: ["#6b6400", "#a0457c", "#3f51b5", "#7a5230", "#2f6f1a"] };

/** A colour of the scale; 0 is dim, 1 is bright (on the light ground: pale and dark). */
function colour(share) {
  const stops = data.colours[theme()];
  const at = Math.min(Math.max(Number.isFinite(share) ? share : 0, 0), 1) * (stops.length - 1);
  return stops[Math.round(at)];
}

/** Whether dark letters are read better than light ones on a colour of the scale. */
function isPale(hex) {
  const [r, g, b] = [1, 3, 5].map((i) => (parseInt(hex.slice(i, i + 2), 16) / 255) ** 2.2);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18;
}
