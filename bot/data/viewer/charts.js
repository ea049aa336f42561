// The line chart of one answer token through the depths, and the bars per block. Their labels are canvas text.

const charts = new Map();

/** A chart in a box, made once; it follows the size of its box. */
function chartIn(box) {
  if (!charts.has(box)) {
    const chart = echarts.init(box, null, { renderer: "canvas" });
    new ResizeObserver(() => box.clientWidth && chart.resize()).observe(box);
    charts.set(box, chart);
  }
  return charts.get(box);
}

const fontOf = () => getComputedStyle(document.body).fontFamily;
const depthNumbers = () => Array.from({ length: DEPTHS + 1 }, (_, d) => String(d));
const blockNumbers = () => Array.from({ length: DEPTHS }, (_, b) => String(b + 1));

function baseOption() {
  return {
    animation: !stillWanted.matches,
    animationDuration: 250,
    animationDurationUpdate: 250,
    textStyle: { fontFamily: fontOf(), color: ink("ink") },
    tooltip: {
      trigger: "axis",
      confine: true,
      backgroundColor: ink("card"),
      borderColor: ink("line"),
      textStyle: { color: ink("ink"), fontSize: 13 },
      transitionDuration: 0,
    },
  };
}

const axisLook = () => ({
  axisLabel: { color: ink("faint"), fontSize: 12, hideOverlap: true },
  axisLine: { lineStyle: { color: ink("line") } },
  splitLine: { lineStyle: { color: ink("line"), opacity: 0.6 } },
  nameTextStyle: { color: ink("faint"), fontSize: 12 },
});

/** A tooltip as nodes: a heading, then a row for each name and value. */
function tipNode(heading, rows) {
  const lines = rows.map(([hue, name, value]) =>
    el("div", {}, el("span", { className: "dot", style: { background: hue, "margin-right": "7px" } }), `${name}: ${value}`),
  );
  return el("div", {}, el("b", {}, heading), ...lines);
}

/** The tokens to follow at answer token t: the emitted one, considered ones, watched ones. */
function followed(t) {
  const hues = SERIES[theme()];
  const lines = [{ token: data.answer[t], hue: hues[0], role: "emitted" }];
  state.lens.figures[t].considered.slice(0, 3).forEach((token, i) => lines.push({ token, hue: hues[i + 1], role: "considered" }));
  watchedForms.forEach(({ tokens, hue }) =>
    tokens.filter((token) => keptIn(t, token)).slice(0, 4).forEach((token) => {
      const known = lines.find((line) => line.token === token);
      if (known) known.watched = true;
      else lines.push({ token, hue, role: "watched", watched: true });
    }),
  );
  return lines;
}

const lineName = (t, { token, role }) =>
  say(role === "emitted" && state.lens.kind === "jacobian" ? "line_emitted_jacobian" : `line_${role}`, { token: role === "emitted" ? answerWord(t) : `“${isolated(exact(token))}”` });

/** The named depths of a token, those that fall together under one mark. */
function namedDepths(t) {
  const { seen, settle, handover } = state.lens.figures[t];
  const marks = new Map();
  [["mark_seen", seen], ["mark_handover", handover], ["mark_settle", settle]].forEach(([key, depth]) => {
    if (depth !== null) marks.set(depth, [...(marks.get(depth) || []), say(key)]);
  });
  return [...marks].sort(([a], [b]) => a - b);
}

/** Upright lines at the named depths, each with its names above, one row each so that no two overlap. */
function depthMarks(t) {
  return namedDepths(t).map(([depth, names], i) => ({
    xAxis: depth,
    lineStyle: { color: ink("faint"), type: [6, 4], width: 1.2 },
    label: {
      formatter: () => `${names.join(" · ")}: ${depth}`,
      position: "end",
      align: depth > DEPTHS * 0.6 ? "right" : depth < DEPTHS * 0.2 ? "left" : "center",
      padding: [0, 0, 17 * i, 0],
      color: ink("ink"),
      fontSize: 12,
    },
  }));
}

const LEAST = 1e-8; // foot of the logarithmic axis

function probabilityLines(t, lines) {
  const drawn = (p) => (p !== null && state.log ? Math.max(p, LEAST) : p);
  return lines.map(({ token, hue, role, watched }, i) => ({
    type: "line",
    name: `line ${i}`,
    data: state.lens.curve(t, token).map(drawn),
    connectNulls: false,
    symbol: state.lens.curve(t, token).includes(null) ? ["circle", "triangle", "rect", "diamond"][i % 4] : "none",
    symbolSize: 6,
    showAllSymbol: true,
    color: hue,
    z: role === "emitted" ? 5 : 3,
    lineStyle: { width: role === "emitted" ? 3 : 2, type: watched && role === "watched" ? "dashed" : "solid" },
    markLine: i ? undefined : { silent: true, symbol: "none", animation: false, data: depthMarks(t) },
  }));
}

function natsLines(t) {
  const from = state.lens.at(t, 0);
  const slice = (name) => Array.from(state.lens[name].subarray(from, from + DEPTHS + 1), (v) => (Number.isFinite(v) ? v : null));
  return ["entropy", "kl"].map((name, i) => ({ // depth 0 reads back the input and would flatten all others
    type: "line",
    name,
    data: slice(name).fill(null, 0, 1),
    xAxisIndex: 1,
    yAxisIndex: 1,
    symbol: "none",
    color: natsHue(i),
    lineStyle: { width: 2, type: i ? "dashed" : "solid" },
  }));
}

const natsHue = (i) => [ink("ink"), ink("faint")][i];

function drawTrack() {
  const t = state.t;
  const lines = followed(t);
  const look = axisLook();
  const x = { type: "category", data: depthNumbers(), boundaryGap: false, ...look, splitLine: { show: false } };
  const tooltip = { ...baseOption().tooltip, formatter: (points) => trackTip(t, points[0].dataIndex, lines) };
  chartIn(byId("track")).setOption(
    {
      ...baseOption(),
      tooltip,
      axisPointer: { link: [{ xAxisIndex: "all" }], lineStyle: { color: ink("faint") } },
      grid: [{ left: 52, right: 24, top: 30 + 17 * Math.max(0, namedDepths(t).length - 1), bottom: 182 }, { left: 52, right: 24, bottom: 44, height: 92 }],
      xAxis: [{ ...x, axisLabel: { show: false } }, { ...x, gridIndex: 1, name: say("axis_depth"), nameLocation: "middle", nameGap: 26 }],
      yAxis: [
        { ...(state.log ? { type: "log", min: LEAST, max: 1 } : { type: "value", min: 0 }), ...look, axisLabel: { ...look.axisLabel, formatter: tickPercent } },
        { type: "value", min: 0, gridIndex: 1, splitNumber: 2, name: say("axis_nats"), nameLocation: "middle", nameGap: 36, ...look },
      ],
      series: [...probabilityLines(t, lines), ...natsLines(t)],
    },
    true,
  );
  drawTrackWords(t, lines);
}

const tickPercent = (v) => (v > 0 && v < 0.0001 ? percent(v).replace("1.0·", "") : `${Number((100 * v).toPrecision(3))}%`);

function trackTip(t, d, lines) {
  const cell = state.lens.at(t, d);
  const rows = lines.map((line) => {
    const p = state.lens.probability(t, d, line.token);
    return [line.hue, lineName(t, line), p === null ? say("not_kept", { k: state.lens.k }) : percent(p)];
  });
  rows.push([natsHue(0), say("metric_entropy"), nats(state.lens.entropy[cell])], [natsHue(1), say("metric_kl"), nats(state.lens.kl[cell])]);
  return tipNode(say("depth_of", { depth: d, depths: DEPTHS }), rows);
}

/** Heading, figures, key and note around the chart. */
function drawTrackWords(t, lines) {
  const figures = state.lens.figures[t];
  byId("track-title").textContent = say("track_title", { at: t + 1, word: answerWord(t), lens: lensName(state.lens) });
  const share = `${Math.round((100 * figures.handover) / DEPTHS)}%`;
  const told = [
    [say("mark_seen"), figures.seen === null ? say("never") : say("at_depth", { depth: figures.seen })],
    [say("mark_settle"), figures.settle === null ? say("never_settled") : say("at_depth", { depth: figures.settle })],
    [say("mark_handover"), say("at_depth_share", { depth: figures.handover, share })],
    [say("fact_final"), percent(state.lens.emitted[state.lens.at(t, DEPTHS)])],
    [say("fact_sampled"), percent(sampled[t])],
    [say("fact_surprisal"), say("nats", { value: nats(figures.surprisal) })],
  ];
  byId("figures").replaceChildren(...told.map(([name, value]) => el("li", {}, `${name}: `, el("b", {}, value))));
  const keys = lines.map((line) => [line.hue, lineName(t, line), line.role === "watched"]);
  keys.push([natsHue(0), say("metric_entropy"), false], [natsHue(1), say("metric_kl"), true]);
  byId("track-key").replaceChildren(...keys.map(([hue, name, dashed]) => keyEntry(hue, name, dashed ? "dashed" : "solid")));
  byId("track-note").textContent = [say("track_note", { k: state.lens.k }), state.log ? say("track_note_log") : ""].join(" ").trim();
  byId("track").setAttribute("aria-label", [byId("track-title").textContent, ...told.map((pair) => pair.join(": "))].join(". "));
  if (byId("table-details").open) drawTable();
}

const keyEntry = (hue, name, look) =>
  el("span", {}, el("i", { style: { "border-color": hue, "border-top-style": look } }), name);

const sampled = unpack(data.sampled);

/** Triangles over the blocks whose removal changes the answer: their bars may be too short to see. */
function flipMarks({ flips, values, hues }) {
  const data = flips.map((block) => [block - 1, Math.max(0, values[block - 1])]);
  return { type: "scatter", symbol: "triangle", symbolRotate: 180, symbolSize: 10, symbolOffset: [0, -11], data, itemStyle: { color: hues(flips[0] - 1) } };
}

/** Bars per block; ``bars`` have a name, a hue and values, ``dots`` lie over them. */
function drawBars(box, bars, dots, label) {
  const look = axisLook();
  const axis = { type: "category", data: blockNumbers(), ...look, name: say("axis_block"), nameLocation: "middle", nameGap: 26 };
  const value = (v) => (Number.isFinite(v) ? v : null);
  const rows = (i) => [...bars, ...dots].map((one) => [one.hue, one.name, nats(one.values[i])]);
  const extra = (i) => (bars[0].extra ? bars[0].extra(i) : []);
  chartIn(box).setOption(
    {
      ...baseOption(),
      tooltip: { ...baseOption().tooltip, formatter: (p) => tipNode(`${say("axis_block")} ${p[0].dataIndex + 1}`, [...rows(p[0].dataIndex), ...extra(p[0].dataIndex)]) },
      grid: { left: 52, right: 14, top: 16, bottom: 46 },
      xAxis: { ...axis, axisTick: { show: false } },
      yAxis: { type: "value", ...look },
      series: [
        ...bars.map((bar) => ({
          type: "bar",
          stack: bars.length > 1 ? "sum" : undefined,
          barMaxWidth: 22,
          data: Array.from(bar.values, (v, i) => ({ value: value(v), itemStyle: { color: bar.hues ? bar.hues(i) : bar.hue } })),
        })),
        ...(bars[0].flips ? [flipMarks(bars[0])] : []),
        ...dots.map((dot) => ({ type: "scatter", symbolSize: 7, data: Array.from(dot.values, value), itemStyle: { color: "transparent", borderColor: dot.hue, borderWidth: 2 } })),
      ],
    },
    true,
  );
  box.setAttribute("aria-label", label);
}
