// Words to watch: which tokens stand for them, where those are known, and what is said where they are not.

const bareWord = (text) => text.replace(/^[ ▁Ġ]/, "");

/** The tokens that a word may mean in this lens: followed ones first, then those among the kept candidates. */
function formsOf(word) {
  const wanted = word.trim();
  const followed = [...state.lens.measured].filter(([, found]) => found.word.trim() === wanted).map(([token]) => token);
  const kept = [];
  data.table.raw.forEach((raw, token) => {
    const same = bareWord(raw).trim().toLowerCase() === wanted.toLowerCase() && wanted !== "";
    const known = state.lens.kept.has(token) || data.answer.includes(token);
    if (same && known && !followed.includes(token)) kept.push(token);
  });
  return { followed, kept };
}

const watchColour = (i) => WATCH[theme()][i % WATCH[theme()].length];

/** Colours of the watched words that stand among the kept candidates of a cell. */
function watchMarks(t, d) {
  return watchedForms.filter(({ tokens }) => tokens.some((token) => state.lens.place(t, d, token) >= 0)).map(({ hue }) => hue);
}

let watchedForms = [];

function findForms() {
  watchedForms = state.words.map((word, i) => {
    const { followed, kept } = formsOf(word);
    return { word, followed, kept, tokens: [...followed, ...kept], hue: watchColour(i) };
  });
}

/** Answer tokens, from 0, at which one of these tokens is among the kept candidates or was emitted. */
function columnsOf(tokens) {
  return data.answer.map((_, t) => t).filter((t) => tokens.some((token) => keptIn(t, token)));
}

function keptIn(t, token) {
  return data.answer[t] === token || state.lens.curve(t, token).some((p) => p !== null);
}

/** What is known of a watched word at the chosen token, in plain words. Unknown is never told as zero. */
function watchStatus({ word, followed, kept, tokens }) {
  const k = state.lens.k;
  const parts = [];
  followed.forEach((token) => {
    const { whole: isWhole } = state.lens.measured.get(token);
    parts.push(say(isWhole ? "watch_followed" : "watch_followed_part", { token: `“${isolated(exact(token))}”` }));
  });
  const emitted = tokens.find((token) => token === data.answer[state.t]);
  if (emitted !== undefined) parts.push(say("watch_emitted", { token: `“${isolated(exact(emitted))}”` }));
  const here = kept.filter((token) => token !== emitted && keptIn(state.t, token));
  if (here.length) parts.push(say("watch_kept", { tokens: here.map((token) => `“${isolated(exact(token))}”`).join(", "), k }));
  if (parts.length) return parts.join(" ");
  if (!tokens.length) return say("watch_nowhere", { k });
  const elsewhere = columnsOf(tokens).slice(0, 8).map((t) => t + 1).join(", ");
  return say("watch_elsewhere", { k, at: state.t + 1, places: elsewhere });
}

function drawWatched() {
  findForms();
  const items = watchedForms.map((form, i) =>
    el(
      "li",
      {},
      el("span", { className: "dot", style: { background: form.hue } }),
      el("b", {}, `“${isolated(clean(form.word))}”`),
      el("button", { type: "button", aria: { "aria-label": say("watch_remove", { word: clean(form.word) }) }, onclick: () => unwatch(i) }, "×"),
      el("span", { className: "status" }, watchStatus(form)),
    ),
  );
  byId("watched").replaceChildren(...items);
}

/** Typed text with nothing invisible left in it. */
const clean = (text) => text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu, "▯");

function unwatch(i) {
  choose({ words: state.words.filter((_, at) => at !== i) });
  byId("watch-word").focus();
}

function onWatch(event) {
  event.preventDefault();
  const field = byId("watch-word");
  const words = field.value.split(/[,，]/).map((word) => word.trim()).filter(Boolean);
  field.value = "";
  choose({ words: [...new Set([...state.words, ...words])].slice(0, 5) });
  findForms();
  byId("live").textContent = watchedForms.filter(({ word }) => words.includes(word)).map((form) => `“${clean(form.word)}”: ${watchStatus(form)}`).join(" ");
}
