// The heat map: depth against answer token, drawn by ECharts on one canvas; the cursor lies above it. Of a long answer the
// canvas holds the columns around those in sight, as canvases have a largest size.

const map = { cell: 0, row: 0, first: 0, count: 0, chart: null };
const LEAST_CELL = 46;
const LEAST_COLUMNS = 64; // drawn at once

function measureMap() {
  const axis = parseFloat(getComputedStyle(byId("map")).gridTemplateColumns) || 46;
  const room = byId("map-scroll").clientWidth - axis - 2;
  map.cell = Math.max(LEAST_CELL, Math.min(120, Math.floor(room / Math.max(1, LENGTH))));
  map.row = Math.max(16, Math.min(28, Math.round(640 / (DEPTHS + 1))));
  map.seen = Math.ceil(room / map.cell) + 1;
  map.count = Math.min(LENGTH, Math.max(LEAST_COLUMNS, 3 * map.seen));
  map.width = map.cell * map.count;
  map.height = map.row * (DEPTHS + 1);
}

const rowTop = (d) => (DEPTHS - d) * map.row;

/** Build everything whose size depends on the room, then paint. */
function layMap() {
  measureMap();
  const canvas = byId("map-canvas");
  Object.assign(canvas.style, { width: `${map.width}px`, height: `${map.height}px` });
  Object.assign(byId("map-body").style, { width: `${map.cell * LENGTH}px`, height: `${map.height}px` });
  byId("map-head").replaceChildren(...data.tokens.map((token, t) => headButton(token, t)));
  byId("map-axis").style.height = `${map.height}px`;
  const sharp = Math.min(devicePixelRatio || 1, Math.sqrt(12e6 / (map.width * map.height)), 16000 / map.width);
  if (map.chart) map.chart.dispose();
  map.chart = echarts.init(canvas, null, { renderer: "canvas", width: map.width, height: map.height, devicePixelRatio: sharp });
  placeCursor();
  scrollToCursor();
  moveColumns();
  paintMap();
}

/** Choose the columns that the canvas holds; true when they are others than before. */
function moveColumns() {
  const seen = Math.floor(byId("map-scroll").scrollLeft / map.cell);
  const held = seen >= map.first && Math.min(seen + map.seen, LENGTH) <= map.first + map.count;
  if (!held) map.first = Math.max(0, Math.min(seen - map.seen, LENGTH - map.count));
  byId("map-canvas").style.left = `${map.first * map.cell}px`;
  return !held;
}

function headButton(token, t) {
  return el(
    "button",
    {
      type: "button",
      tabIndex: -1,
      className: t === state.t ? "chosen" : "",
      title: token.shown,
      style: { width: `${map.cell}px` },
      onclick: () => choose({ t }),
    },
    token.shown,
  );
}

const axisText = (d) => (d === DEPTHS ? `${say("axis_out")} ${d}` : d ? String(d) : `${say("axis_in")} 0`);

function axisLabels() {
  const every = Math.ceil(20 / map.row);
  return Array.from({ length: DEPTHS + 1 }, (_, d) => d)
    .filter((d) => (DEPTHS - d) % every === 0)
    .map((d) => el("span", { style: { top: `${rowTop(d) + map.row / 2}px` } }, axisText(d)));
}

/** The word of a cell: clear where it changes on the way up, faint where it stays and in the lower half. */
function wordOpacity(t, d) {
  const stays = d < DEPTHS && d > 0 && state.lens.topToken(t, d) === state.lens.topToken(t, d - 1);
  return Math.min(stays ? 0.72 : 1, 2 * d < DEPTHS ? 0.72 : 1);
}

function drawCell(_params, api) {
  const [t, d] = [api.value(0), api.value(1)];
  const metric = METRICS[state.metric];
  const fill = colour(metric.share(state.lens[metric.of][state.lens.at(t, d)]));
  const apart = d === 0 ? 3 : 0; // the input's row stands apart: it is no reading of the answer
  const shape = { x: (t - map.first) * map.cell, y: rowTop(d) + apart, width: map.cell, height: map.row - apart };
  const children = [{ type: "rect", shape: { ...shape, width: map.cell - 1 }, style: { fill } }];
  children.push({
    type: "text",
    style: {
      text: faceAt(t, state.lens.topToken(t, d)),
      x: shape.x + map.cell / 2,
      y: shape.y + shape.height / 2,
      width: map.cell - 6,
      overflow: "truncate",
      ellipsis: "…",
      align: "center",
      verticalAlign: "middle",
      fontSize: Math.min(13, map.row - 4),
      fontFamily: getComputedStyle(document.body).fontFamily,
      fill: isPale(fill) ? "#111" : "#fff",
      opacity: wordOpacity(t, d),
    },
  });
  watchMarks(t, d).forEach((mark, i) => {
    const x = shape.x + map.cell - 2 - 8 * i;
    const points = [[x - 8, shape.y], [x, shape.y], [x, shape.y + 8]];
    children.push({ type: "polygon", shape: { points }, style: { fill: mark, stroke: "#111", lineWidth: 0.8 } });
  });
  return { type: "group", children };
}

/** A frame from the settle depth up to the output. */
function drawFrame(_params, api) {
  const t = api.value(0);
  const chosen = t === state.lens.pivotal;
  const settle = state.lens.figures[t].settle;
  if (settle === null && !chosen) return null;
  const bottom = settle === null ? DEPTHS : settle;
  const inset = chosen ? 1.5 : 1;
  return {
    type: "rect",
    silent: true,
    shape: { x: (t - map.first) * map.cell + inset, y: inset, width: map.cell - 1 - 2 * inset, height: rowTop(bottom) + map.row - 2 * inset },
    style: {
      fill: "none",
      stroke: chosen ? ink("cursor") : ink("ink"),
      lineWidth: chosen ? 3 : 1.2,
      opacity: chosen ? 1 : 0.7,
      lineDash: settle === null ? [4, 3] : null,
    },
  };
}

function paintMap() {
  const columns = Array.from({ length: map.count }, (_, i) => map.first + i);
  const cells = [];
  for (const t of columns) for (let d = 0; d <= DEPTHS; d += 1) cells.push([t, d]);
  const series = { type: "custom", coordinateSystem: "none", animation: false, silent: true, progressive: 0 };
  map.chart.setOption(
    {
      animation: false,
      series: [
        { ...series, data: cells, renderItem: drawCell },
        { ...series, data: columns.map((t) => [t]), renderItem: drawFrame },
      ],
    },
    true,
  );
  paintScale();
  byId("map-axis").replaceChildren(...axisLabels());
  byId("map").setAttribute("aria-label", say("map_label", { tokens: LENGTH, depths: DEPTHS + 1, lens: lensName(state.lens) }));
  byId("map-key").textContent = say(state.lens.kind === "jacobian" ? "map_key_jacobian" : "map_key");
}

function paintScale() {
  const metric = METRICS[state.metric];
  const stops = Array.from({ length: 25 }, (_, i) => colour(i / 24));
  const ticks = metric.ticks.map((v) => {
    const at = `${100 * metric.share(v)}%`; // a tick at the edge stays inside
    return el("span", { style: { left: at, transform: `translateX(-${at})` } }, metric.text(v));
  });
  byId("scale").replaceChildren(
    el("div", {}, metricTitle(state.metric)),
    el("div", { className: "scale-bar", style: { background: `linear-gradient(to right, ${stops.join(",")})` } }),
    el("div", { className: "scale-ticks" }, ...ticks),
  );
}

/** What a colour means, in the words that the lens allows. */
function metricTitle(name) {
  return say(state.lens.kind === "jacobian" ? `metric_${name}_jacobian` : `metric_${name}_long`);
}

function placeCursor() {
  const move = (id, x, y, width, height) =>
    Object.assign(byId(id).style, { transform: `translate(${x}px, ${y}px)`, width: `${width}px`, height: `${height}px` });
  move("cursor", state.t * map.cell, rowTop(state.d), map.cell - 1, map.row);
  move("column-mark", state.t * map.cell - 1, 0, map.cell + 1, map.height);
  [...byId("map-head").children].forEach((button, t) => button.classList.toggle("chosen", t === state.t));
}

/** Keep the cursor in sight inside the map, without moving the page. */
function scrollToCursor() {
  const box = byId("map-scroll");
  const axis = byId("map-axis").offsetWidth;
  const head = byId("map-head").offsetHeight;
  const [x, y] = [state.t * map.cell, rowTop(state.d)];
  if (x < box.scrollLeft) box.scrollLeft = x;
  if (x + map.cell + axis > box.scrollLeft + box.clientWidth) box.scrollLeft = x + map.cell + axis - box.clientWidth;
  if (y < box.scrollTop) box.scrollTop = y;
  if (y + map.row + head > box.scrollTop + box.clientHeight) box.scrollTop = y + map.row + head - box.clientHeight;
}

/** The cell under a pointer. */
function cellAt(event) {
  const box = byId("map-body").getBoundingClientRect();
  const t = Math.floor((event.clientX - box.left) / map.cell);
  const d = DEPTHS - Math.floor((event.clientY - box.top) / map.row);
  return t >= 0 && t < LENGTH && d >= 0 && d <= DEPTHS ? { t, d } : null;
}

const STEPS = {
  ArrowLeft: ({ t }) => ({ t: t - 1 }),
  ArrowRight: ({ t }) => ({ t: t + 1 }),
  ArrowUp: ({ d }) => ({ d: d + 1 }),
  ArrowDown: ({ d }) => ({ d: d - 1 }),
  PageUp: ({ d }) => ({ d: d + 5 }),
  PageDown: ({ d }) => ({ d: d - 5 }),
  Home: () => ({ t: 0 }),
  End: () => ({ t: LENGTH - 1 }),
};

function onMapKey(event) {
  const step = STEPS[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const { t = state.t, d = state.d } = step(state);
  choose({ t: Math.min(Math.max(t, 0), LENGTH - 1), d: Math.min(Math.max(d, 0), DEPTHS) });
  scrollToCursor();
  byId("live").textContent = cellInWords(state.t, state.d);
}
