// What is known beyond the lens: attention, attribution, the causal check, template pull, self-report; and the facts of the run.

const found = data.findings;
const unpacked = (source, ...names) => Object.fromEntries(names.map((name) => [name, unpack(source[name])]));
const attribution = found.attribution && { ...found.attribution, ...unpacked(found.attribution, "blocks", "embedding", "constant", "difference") };
const attention = found.attention && { ...found.attention, ...unpacked(found.attention, "weights", "sink") };
const causal = found.causal && { ...found.causal, parts: found.causal.parts.map((part) => ({ ...part, ...unpacked(part, "drop", "control") })) };

/** A card with a heading; its body is drawn again whenever one of ``names`` changes. */
function evidenceCard(id, names, draw) {
  const heading = el("h2", { id: `${id}-title` });
  const body = el("div", { id });
  byId("evidence").append(el("section", { className: "card", aria: { "aria-labelledby": `${id}-title` } }, heading, body));
  drawOn(names, () => draw(body, heading));
}

/** A paragraph, a key and a box for bars, made once in a body. */
function barParts(body) {
  if (!body.children.length) {
    body.append(el("p", { className: "small faint" }), el("div", { className: "key" }), el("div", { className: "chart", aria: { role: "img" } }), el("p", { className: "small faint" }));
  }
  return [...body.children];
}

const blockKey = (hue, name, kind = "block") => el("span", {}, el("i", { className: kind, style: kind === "ring" ? { "border-color": hue } : { background: hue } }), name);

function drawAttribution(body, heading) {
  const t = state.t;
  const hues = SERIES[theme()];
  const [text, key, box, sum] = barParts(body);
  const against = quoted(attribution.against[t]);
  heading.textContent = say("attribution_title");
  text.textContent = say("attribution_text", { word: answerWord(t), against });
  const part = (i) => Array.from({ length: DEPTHS }, (_, b) => attribution.blocks[(t * DEPTHS + b) * 2 + i]);
  const bars = [0, 1].map((i) => ({ name: say(i ? "part_mlp" : "part_attention"), hue: hues[i ? 1 : 6], values: part(i) }));
  key.replaceChildren(...bars.map(({ hue, name }) => blockKey(hue, name)));
  const total = bars.flatMap(({ values }) => values).reduce((a, b) => a + b, 0);
  const slots = { blocks: nats(total), embedding: nats(attribution.embedding[t]), constant: nats(attribution.constant[t]) };
  sum.textContent = say("attribution_sum", { ...slots, difference: nats(attribution.difference[t]) });
  drawBars(box, bars, [], `${heading.textContent}. ${text.textContent} ${sum.textContent}`);
}

let causalPart = 0;

function drawCausal(body, heading) {
  const part = causal.parts[causalPart];
  const hues = SERIES[theme()];
  const [text, key, box, told] = barParts(body);
  heading.textContent = say("causal_title", { at: causal.t + 1, word: answerWord(causal.t) });
  text.textContent = say(`causal_text_${part.part}`);
  const [flipped, still, random] = [hues[1], hues[6], ink("ink")];
  const entries = [blockKey(flipped, say("causal_flips")), blockKey(still, say("causal_stays")), blockKey(random, say("causal_random"), "ring")];
  key.replaceChildren(...entries, ...(causal.parts.length > 1 ? [partSwitch(body, heading)] : []));
  const after = (b) => [["transparent", say("causal_after"), quoted(part.top[b])]];
  const bars = [{ name: say("causal_drop"), hue: still, hues: (b) => (part.flips.includes(b + 1) ? flipped : still), values: part.drop, flips: part.flips, extra: after }];
  told.textContent = causalWords(part);
  drawBars(box, bars, [{ name: say("causal_random"), hue: random, values: part.control }], `${heading.textContent}. ${text.textContent} ${told.textContent}`);
}

function partSwitch(body, heading) {
  const options = causal.parts.map(({ part }, i) => el("option", { value: String(i), selected: i === causalPart }, say(`part_${part}`)));
  const onchange = (event) => {
    causalPart = Number(event.target.value);
    drawCausal(body, heading);
    body.querySelector("select").focus();
  };
  return el("label", {}, `${say("causal_part")} `, el("select", { onchange }, ...options));
}

function causalWords(part) {
  const flips = part.flips.map((block) => `${block} (${quoted(part.top[block - 1])})`).join(", ");
  const flipped = flips ? say("causal_told_flips", { blocks: flips }) : say("causal_told_none");
  if (part.strongest === null) return `${flipped} ${say("causal_told_noise")}`;
  const at = part.strongest - 1;
  return `${flipped} ${say("causal_told_most", { block: part.strongest, drop: nats(part.drop[at]), control: nats(part.control[at]) })}`;
}

/** The prompt, tinted where the chosen token looked; without attention, just the prompt. */
function drawPrompt(body, heading) {
  const t = state.t;
  heading.textContent = say(attention ? "attention_title" : "prompt_title");
  const looked = new Map();
  if (attention) attention.positions[t].forEach((place, i) => looked.set(place, attention.weights[t * attention.count + i]));
  const most = Math.max(...looked.values(), 1e-9);
  const words = data.prompt.map((token, place) => promptWord(token, place, looked.get(place), most));
  const told = attention ? attentionWords(t) : "";
  const box = el("div", { className: "prompt", tabIndex: 0, aria: { role: "region", "aria-label": say("prompt_title") } }, ...words);
  body.replaceChildren(...[attention && el("p", { className: "small faint" }, say("attention_text", { at: t + 1, word: answerWord(t) })), box, told && el("p", { className: "small", style: { "margin-top": "8px" } }, told)].filter(Boolean));
}

function promptWord(token, place, weight, most) {
  const raw = data.table.raw[token];
  const control = /^<.*>$/s.test(raw) || raw.trim() === "";
  const names = [/^[ ▁]/.test(raw) && "spaced", control && "control", weight !== undefined && "seen"].filter(Boolean);
  const style = weight === undefined ? {} : { "background-color": `rgba(${ink("tint")}, ${0.12 + (0.5 * weight) / most})` };
  const title = weight === undefined ? String(place + 1) : percent(weight);
  return el("span", { className: names.join(" "), style, title }, face(token));
}

function attentionWords(t) {
  const list = attention.positions[t].map((place, i) => `“${isolated(attention.words[place] || face(data.prompt[place]))}” ${percent(attention.weights[t * attention.count + i])}`);
  return say("attention_told", { list: list.join(", "), sink: percent(attention.sink[t]) });
}

function drawSelf(body, heading) {
  const { pull, report } = found;
  heading.textContent = say("self_title");
  const parts = [];
  if (report && report.pTrue !== null) {
    parts.push(el("h3", {}, say("report_title")), el("p", {}, say("report_true", { share: percent(report.pTrue), said: percent(report.said === null ? NaN : report.said) })));
  }
  if (report && report.agreement !== null) {
    parts.push(el("p", {}, say("report_agreement", { share: percent(report.agreement), samples: report.samples, groups: report.groups })));
  }
  if (pull) {
    parts.push(el("h3", {}, say("pull_title")), el("p", {}, say(`pull_${pull.pattern}`, { kl: nats(pull.kl) })));
    parts.push(el("div", { className: "pair" }, pullList("pull_with", pull.with), pullList("pull_without", pull.without)));
  }
  body.replaceChildren(...parts);
}

function pullList(key, rows) {
  const most = Math.max(...rows.map(([, p]) => p), 1e-9);
  const cells = rows.flatMap(([token, p]) => [
    el("span", { className: "word" }, exact(token)),
    el("span", { className: "bar" }, el("i", { style: { width: `${(100 * p) / most}%` } })),
    el("span", { className: "value" }, percent(p)),
  ]);
  return el("div", {}, el("p", { className: "small faint" }, say(key)), el("div", { className: "best" }, ...cells));
}

const NOTED = { attention: "noted_attention", attribution: "noted_attribution", causal: "noted_causal", pull: "noted_pull", watched: "noted_watched" };

function drawNotes(body, heading) {
  heading.textContent = say("notes_title");
  body.replaceChildren(...Object.entries(found.notes).map(([name, why]) => el("p", { className: "small" }, `${NOTED[name] ? say(NOTED[name]) : name}: ${why[locale]}`)));
}

function layEvidence() {
  if (causal) evidenceCard("causal", ["theme", "locale"], drawCausal);
  if (attribution) evidenceCard("attribution", ["t", "theme", "locale"], drawAttribution);
  evidenceCard("prompt", ["t", "theme", "locale"], drawPrompt);
  if (found.pull || found.report) evidenceCard("self", ["locale"], drawSelf);
  if (Object.keys(found.notes).length) evidenceCard("notes", ["locale"], drawNotes);
}

/** All depths of the chosen token as a table, output first. */
function drawTable() {
  const t = state.t;
  const head = ["axis_depth", "col_top", "col_second", "col_third", "col_prob", "col_rank", "metric_entropy", "metric_kl"];
  const names = head.map((key, i) => el("th", { className: i > 0 && i < 4 ? "word" : "", aria: { scope: "col" } }, say(key)));
  const rows = Array.from({ length: DEPTHS + 1 }, (_, i) => tableRow(t, DEPTHS - i));
  byId("table").replaceChildren(el("table", {}, el("thead", {}, el("tr", {}, ...names)), el("tbody", {}, ...rows)));
}

function tableRow(t, d) {
  const cell = state.lens.at(t, d);
  const best = state.lens.best(t, d).slice(0, 3).map(({ token, prob }) => el("td", { className: "word" }, `${exact(token)} ${percent(prob)}`));
  while (best.length < 3) best.push(el("td", {}, ""));
  const figures = [percent(state.lens.emitted[cell]), whole(state.lens.rank[cell] + 1), nats(state.lens.entropy[cell]), nats(state.lens.kl[cell])];
  return el("tr", {}, el("td", {}, String(d)), ...best, ...figures.map((text) => el("td", {}, text)));
}

function drawMeta() {
  const rows = data.created ? [...data.meta, ["created", data.created]] : data.meta;
  const label = (name) => (data.strings[locale][`meta_${name.replace(/\W/g, "_")}`] === undefined ? name : say(`meta_${name.replace(/\W/g, "_")}`));
  byId("meta").replaceChildren(...rows.map(([name, value]) => el("div", {}, el("dt", {}, label(name)), el("dd", {}, value))));
}
