// The page's data, words and numbers. Text reaches the page through text nodes alone.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const DEPTHS = data.depths; // L: there are L + 1 depths
const LENGTH = data.answer.length; // T
let locale = data.locale;

/** A string of the page's language, its {slots} filled. */
function say(key, slots = {}) {
  return data.strings[locale][key].replace(/\{(\w+)\}/g, (_, name) => String(slots[name]));
}

/** An element with properties and children; strings become text nodes. */
function el(tag, props = {}, ...children) {
  const { style, aria, ...rest } = props;
  const node = Object.assign(document.createElement(tag), rest);
  Object.entries(style || {}).forEach(([name, value]) => node.style.setProperty(name, value));
  Object.entries(aria || {}).forEach(([name, value]) => node.setAttribute(name, value));
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** The visible name of a token by its running number. */
function face(token) {
  const shown = data.table.shown[token];
  return shown === undefined ? data.table.raw[token] : shown;
}

/** Letters that are written from the right are set apart, so that they do not turn the sentence around. */
const isolated = (text) => (/[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/.test(text) ? `\u2068${text}\u2069` : text);
const quoted = (token) => `“${isolated(face(token))}”`;
const answerWord = (t) => `“${isolated(data.tokens[t].shown)}”`;

/** A token's name with its leading blank. */
function spelled(token) {
  const raw = data.table.raw[token];
  return /^[ ▁]/.test(raw) && !face(token).startsWith("␣") ? `␣${face(token)}` : face(token);
}

const namesakes = new Map();
data.table.raw.forEach((_, token) => namesakes.set(spelled(token), (namesakes.get(spelled(token)) || 0) + 1));

/** A name that no other token has: with its id where two look the same. */
function exact(token) {
  const name = spelled(token);
  return namesakes.get(name) > 1 ? `${name} ⟨${data.table.ids[token]}⟩` : name;
}

/** A token's face at answer token t: what completes a character there reads as that character. */
function faceAt(t, token) {
  return token === data.answer[t] && face(token).startsWith("⟨") ? data.tokens[t].shown : face(token);
}

const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** A probability; what is not 0 is never written as 0, what is not 1 never as 100 %. */
function percent(p) {
  if (p === null || !Number.isFinite(p)) return "–";
  if (p === 0) return "0%";
  if (p < 0.0001) {
    const [digits, power] = p.toExponential(1).split("e");
    return `${digits}·10${[...String(Number(power))].map((char) => SUPERSCRIPT[char]).join("")}`;
  }
  if (p < 0.01) return `${(100 * p).toFixed(2)}%`;
  if (p < 0.9995) return `${(100 * p).toFixed(1)}%`;
  return p < 0.99995 ? `${(100 * p).toFixed(2)}%` : p < 1 ? ">99.99%" : "100%";
}

function nats(x) {
  if (!Number.isFinite(x)) return "–";
  return x !== 0 && Math.abs(x) < 0.005 ? (x < 0 ? ">−0.01" : "<0.01") : x.toFixed(2).replace("-", "−");
}

/** Nats on a scale, in two digits. */
const brief = (x) => (x >= 10 ? String(Math.round(x)) : x === 0 ? "0" : x.toFixed(1));

const whole = (x) => x.toLocaleString("en-US");
