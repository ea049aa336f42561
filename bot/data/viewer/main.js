// Puts the page together: words, controls, what draws when, and what the pointer and the keys do.

function drawWords() {
  document.querySelectorAll("[data-say]").forEach((node) => (node.textContent = say(node.dataset.say)));
  document.querySelectorAll("[data-label]").forEach((node) => node.setAttribute("aria-label", say(node.dataset.label)));
  const facts = Object.fromEntries(data.meta);
  const model = facts.name || facts.model || "";
  root.lang = locale;
  document.title = [say("page_title"), model].filter(Boolean).join(" · ");
  byId("title").textContent = say("page_title");
  byId("subtitle").textContent = [model, say("subtitle", { tokens: LENGTH, depths: DEPTHS })].filter(Boolean).join(" · ");
  const headline = data.headlines[locale] || "";
  Object.assign(byId("headline"), { textContent: headline && `💭 ${headline}`, hidden: headline === "" });
  byId("watch-word").placeholder = say("watch_hint");
  byId("how").replaceChildren(...HOW.map((key) => el("li", {}, say(key))));
  const next = locale === "en-US" ? "zh-CN" : "en-US";
  Object.assign(byId("language"), { textContent: data.strings[next].language_name, lang: next });
  drawMeta();
}

const HOW = ["how_map", "how_depths", data.tied ? "how_tied" : "how_input", "how_lens", "how_figures", "how_evidence"];

/** Radio buttons that read as one control. */
function drawChoice(id, name, options, chosen, pick) {
  const labels = options.map(([value, text], i) =>
    el("label", {}, el("input", { type: "radio", name, value, checked: value === chosen, onchange: () => pick(i) }), el("span", {}, text)),
  );
  byId(id).replaceChildren(...labels);
}

function drawControls() {
  const names = Object.keys(METRICS);
  drawChoice("metrics", "metric", names.map((name) => [name, say(`metric_${name}`)]), state.metric, (i) => choose({ metric: names[i] }));
  const options = lenses.map((lens, i) => [String(i), lensName(lens)]);
  drawChoice("lenses", "lens", options, String(lenses.indexOf(state.lens)), (i) => choose({ lens: lenses[i] }));
}

function drawNote() {
  const note = ["jacobian", "tuned"].includes(state.lens.kind) ? say(`note_${state.lens.kind}`) : "";
  Object.assign(byId("lens-note"), { textContent: note, hidden: note === "", className: state.lens.kind === "jacobian" ? "note warn" : "note" });
}

function drawTheme() {
  const dark = theme() === "dark";
  byId("theme").textContent = say(dark ? "theme_light" : "theme_dark");
  byId("theme").setAttribute("aria-label", say(dark ? "theme_to_light" : "theme_to_dark"));
}

function setTheme(name) {
  root.dataset.theme = name;
  choose({ theme: name });
}

function listen() {
  byId("theme").onclick = () => setTheme(theme() === "dark" ? "light" : "dark");
  darkWanted.onchange = () => setTheme(darkWanted.matches ? "dark" : "light");
  byId("language").onclick = () => {
    locale = locale === "en-US" ? "zh-CN" : "en-US";
    choose({ locale });
  };
  byId("watch-form").onsubmit = onWatch;
  byId("answer").onkeydown = onAnswerKey;
  byId("table-details").ontoggle = () => byId("table-details").open && drawTable();
  byId("log").onchange = () => choose({ log: byId("log").checked });
  byId("map").onkeydown = onMapKey;
  byId("map").onfocus = () => (byId("live").textContent = cellInWords(state.t, state.d));
  byId("map-body").onpointermove = showTip;
  byId("map-body").onpointerleave = hideTip;
  byId("map-scroll").onscroll = () => {
    hideTip();
    if (moveColumns()) paintMap();
  };
  byId("map-body").onclick = (event) => {
    const at = cellAt(event);
    if (at) choose(at);
  };
  new ResizeObserver(() => layIfResized()).observe(byId("map-scroll"));
}

let laidFor = 0;

function layIfResized() {
  const room = byId("map-scroll").clientWidth;
  if (room === laidFor || !LENGTH) return;
  laidFor = room;
  layMap();
}

function start() {
  root.dataset.theme = darkWanted.matches ? "dark" : "light";
  Object.assign(state, { theme: theme(), locale });
  drawOn(["locale"], drawWords);
  drawOn(["theme", "locale"], drawTheme);
  drawOn(["locale"], drawControls);
  drawOn(["lens", "locale"], drawNote);
  if (LENGTH) {
    drawOn(["words", "lens", "t", "theme", "locale"], drawWatched);
    drawOn(["t", "lens", "theme", "locale"], drawAnswer);
    drawOn(["lens", "metric", "theme", "locale", "words"], () => map.chart && paintMap());
    drawOn(["t", "d"], () => map.chart && placeCursor());
    drawOn(["t", "d", "lens", "theme", "locale"], drawCellPanel);
    layEvidence();
    drawOn(["t", "lens", "words", "theme", "locale", "log"], drawTrack);
  }
  if (!LENGTH) {
    document.querySelectorAll("main > :not(:first-child, :last-child)").forEach((node) => (node.hidden = true));
    drawOn(["locale"], () => byId("answer").replaceChildren(say("nothing_said")));
  }
  drawAll();
  layIfResized();
  listen();
  root.dataset.ready = String(Math.round(performance.now()));
}

start();
