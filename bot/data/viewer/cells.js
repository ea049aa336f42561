// One cell in full, for the panel, for the pointer, and in words; and the answer's tokens.

function lensName(lens) {
  return lens.kind === "other" ? lens.name : say(`lens_${lens.kind}`);
}

/** The kept candidates with bars, then the figures of the cell. */
function cellCard(t, d) {
  const lens = state.lens;
  const cell = lens.at(t, d);
  const best = lens.best(t, d);
  const most = Math.max(...best.map(({ prob }) => prob), 1e-9);
  const rows = best.flatMap(({ token, prob }) => {
    const mine = token === data.answer[t] ? " mine" : "";
    const bar = el("i", { style: { width: `${(100 * prob) / most}%` } });
    return [
      el("span", { className: `word${mine}`, title: exact(token) }, faceAt(t, token) === face(token) ? exact(token) : faceAt(t, token)),
      el("span", { className: `bar${mine}` }, bar),
      el("span", { className: `value${mine}` }, percent(prob)),
    ];
  });
  const facts = [
    [say(lens.kind === "jacobian" ? "fact_prob_jacobian" : "fact_prob", { word: answerWord(t) }), percent(lens.emitted[cell])],
    [say("fact_rank"), whole(lens.rank[cell] + 1)],
    [say("fact_entropy"), say("nats", { value: nats(lens.entropy[cell]) })],
    [say("fact_kl"), say("nats", { value: nats(lens.kl[cell]) })],
  ];
  const list = el("dl", { className: "facts" }, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  const remark = cellRemark(d);
  return [
    el("p", { className: "cell-head" }, say("cell_head", { at: t + 1, word: answerWord(t), depth: d, depths: DEPTHS })),
    el("div", { className: "best" }, ...rows),
    list,
    remark && el("p", { className: "remark" }, remark),
  ].filter(Boolean);
}

/** What must be said of a depth so that its reading is not taken for more than it is. */
function cellRemark(d) {
  if (d === DEPTHS) return say("remark_output");
  if (d === 0) return say(data.tied ? "remark_tied" : "remark_input");
  return state.lens.kind === "jacobian" ? say("remark_jacobian") : "";
}

function cellInWords(t, d) {
  const cell = state.lens.at(t, d);
  const [first] = state.lens.best(t, d);
  const slots = { at: t + 1, word: answerWord(t), depth: d, top: `“${isolated(faceAt(t, first.token))}”`, share: percent(first.prob) };
  const figures = { prob: percent(state.lens.emitted[cell]), rank: whole(state.lens.rank[cell] + 1) };
  const told = say(state.lens.kind === "jacobian" && d < DEPTHS ? "cell_words_jacobian" : "cell_words", { ...slots, ...figures });
  return d === 0 ? `${told} ${cellRemark(0)}` : told;
}

function drawCellPanel() {
  byId("cell").replaceChildren(...cellCard(state.t, state.d));
}

function showTip(event) {
  const at = event.pointerType === "touch" ? null : cellAt(event);
  const tip = byId("tip");
  tip.hidden = at === null;
  if (!at) return;
  const name = `${at.t},${at.d},${state.lens.name}`;
  if (tip.dataset.cell !== name) tip.replaceChildren(...cellCard(at.t, at.d));
  tip.dataset.cell = name;
  const { offsetWidth: width, offsetHeight: height } = tip;
  const x = event.clientX + 18 + width > innerWidth ? event.clientX - width - 14 : event.clientX + 18;
  const y = Math.min(Math.max(8, event.clientY - height / 3), innerHeight - height - 8);
  Object.assign(tip.style, { left: `${Math.max(6, x)}px`, top: `${Math.max(6, y)}px` });
}

const hideTip = () => (byId("tip").hidden = true);

/** The answer as it reads, each token tinted by how surprising it was at depth L. */
function drawAnswer() {
  const most = 4; // nats, full tint
  const nodes = data.tokens.flatMap((token, t) => {
    const surprisal = state.lens.figures[t].surprisal;
    const names = ["token", !token.glued && t && "spaced", (data.special[t] || token.splinter) && "control", t === state.lens.pivotal && "pivotal"];
    const button = el(
      "button",
      {
        type: "button",
        className: names.filter(Boolean).join(" "),
        tabIndex: t === state.t ? 0 : -1,
        title: say("surprisal_of", { value: nats(surprisal) }),
        style: { "background-color": `rgba(${ink("tint")}, ${(0.6 * Math.min(surprisal, most)) / most})` },
        aria: { "aria-pressed": String(t === state.t), "aria-label": tokenLabel(t) },
        onclick: () => choose({ t }),
      },
      token.shown,
    );
    return token.breaks ? [button, el("span", { className: "break" })] : [button];
  });
  byId("answer").replaceChildren(...nodes);
  const swatch = el("span", { className: "swatch" });
  swatch.style.background = `linear-gradient(to right, rgba(${ink("tint")}, 0), rgba(${ink("tint")}, 0.6))`;
  byId("answer-key").replaceChildren(say("surprisal_key"), " 0", swatch, say("nats", { value: "≥ 4" }), ` · ${say("pivotal_key")}`);
}

function tokenLabel(t) {
  const pivotal = t === state.lens.pivotal ? ` ${say("is_pivotal")}` : "";
  return say("token_label", { at: t + 1, word: answerWord(t), value: nats(state.lens.figures[t].surprisal) }) + pivotal;
}

/** Arrow keys walk through the tokens; one of them is in the tab order. */
function onAnswerKey(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  event.preventDefault();
  choose({ t: Math.min(Math.max(state.t + step, 0), LENGTH - 1) });
  byId("answer").querySelectorAll("button")[state.t].focus();
}
