// Drawings that the script makes: lines over time or shift, and one metric against another.
(() => {
  const { $, make, draw, page, show, number, whenNear } = tk;
  const LETTER = 6.6;

  const niceTicks = (low, high, count) => {
    if (!(high > low)) return [low];
    const raw = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map((m) => m * power).reduce((a, b) => (Math.abs(Math.log(b / raw)) < Math.abs(Math.log(a / raw)) ? b : a));
    const ticks = [];
    for (let i = Math.ceil(low / step - 1e-9); i <= Math.floor(high / step + 1e-9); i += 1) ticks.push(Number((i * step).toPrecision(12)));
    return ticks;
  };
  const tickTexts = (ticks) => {
    let digits = 0;
    while (digits < 6 && ticks.some((v) => Math.abs(Number(v.toFixed(digits)) - v) > 1e-9)) digits += 1;
    return ticks.map((v) => v.toFixed(digits).replace("-", "−"));
  };
  const reach = (values, part = 0.06) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const pad = (high - low) * part || Math.max(Math.abs(high) * 0.05, 0.5);
    return [low - pad, high + pad];
  };

  // Axes in a box; returns the SVG and the way from values to pixels.
  const axes = (holder, { x, y, height, label, zero, xTicks, xName, yName, top = 10 }) => {
    const width = Math.max(280, Math.min(holder.clientWidth || 640, 900));
    const yTicks = niceTicks(y[0], y[1], 5);
    const texts = tickTexts(yTicks);
    const left = 14 + LETTER * Math.max(...texts.map((text) => text.length));
    const [right, bottom] = [width - 12, height - 40];
    const at = (v) => left + ((v - x[0]) / (x[1] - x[0] || 1)) * (right - left);
    const up = (v) => bottom - ((v - y[0]) / (y[1] - y[0] || 1)) * (bottom - top);
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    yTicks.forEach((v, i) => svg.append(
      draw("line", { class: "grid", x1: left, x2: right, y1: up(v), y2: up(v) }),
      draw("text", { class: "tick", x: left - 7, y: up(v) + 4, "text-anchor": "end" }, texts[i]),
    ));
    const ticks = xTicks || niceTicks(x[0], x[1], width > 500 ? 8 : 5);
    const names = tickTexts(ticks);
    ticks.forEach((v, i) => svg.append(
      draw("line", { class: "stub", x1: at(v), x2: at(v), y1: bottom, y2: bottom + 4 }),
      draw("text", { class: "tick", x: at(v), y: bottom + 17, "text-anchor": "middle" }, names[i]),
    ));
    if (zero !== undefined) svg.append(draw("line", { class: "reference", x1: at(zero), x2: at(zero), y1: top, y2: bottom }));
    svg.append(draw("text", { class: "axis", x: right, y: bottom + 34, "text-anchor": "end" }, xName));
    if (yName) svg.append(draw("text", { class: "axis", x: left, y: top - 8 }, yName));
    holder.replaceChildren(svg);
    return { svg, at, up, left, right, top, bottom, width };
  };

  // Lines with a legend; series: [{ name, style, points: [[x, y or null], ...], mark: [x, y] }]
  tk.lines = (holder, series, options) => {
    const points = series.flatMap((one) => one.points).filter((p) => p[1] !== null);
    if (!points.length) return null;
    const x = [Math.min(...points.map((p) => p[0])), Math.max(...points.map((p) => p[0]))];
    const box = axes(holder, { x, y: reach(points.map((p) => p[1])), height: 270, top: 34, ...options });
    let along = box.left;
    series.forEach((one) => {
      const group = draw("g", { class: one.style }, draw("title", {}, one.name));
      let path = "";
      let open = false;
      one.points.forEach(([a, b]) => {
        if (b !== null) path += `${open ? "L" : "M"}${box.at(a).toFixed(1)} ${box.up(b).toFixed(1)}`;
        open = b !== null;
      });
      group.append(draw("path", { class: "curve", d: path }));
      if (one.mark) group.append(draw("circle", { class: "dot", cx: box.at(one.mark[0]), cy: box.up(one.mark[1]), r: 4 }));
      group.append(
        draw("path", { class: "curve", d: `M${along} 12h20` }),
        draw("text", { class: "name", x: along + 25, y: 16 }, one.name),
      );
      along += 45 + LETTER * one.name.length;
      box.svg.append(group);
    });
    return box;
  };

  // Scatter
  const view = $("scatter-view");
  const start = () => {
    const [acrossBox, upBox, ofBox] = ["scatter-x", "scatter-y", "scatter-of"].map($);
    const usable = page.columns.map((_, c) => c).filter((c) => page.models.some((model) => model.means[c]));
    if (usable.length < 2) { $("scatter").hidden = true; return; }
    [acrossBox, upBox].forEach((box) => usable.forEach((c) => box.append(make("option", { value: String(c) }, page.columns[c].label))));
    const own = (c) => !page.columns[c].key.startsWith("delta_");
    const first = usable.includes(page.rank) ? page.rank : usable[0];
    const kind = (c) => page.columns[c].key.replace(/_.*/, "");
    acrossBox.value = String(first);
    const other = (c) => c !== first && own(c) && kind(c) !== kind(first) && page.columns[c].better !== "zero";
    upBox.value = String(usable.find(other) ?? usable.find((c) => c !== first));
    ofBox.append(make("option", { value: "models" }, "models"));
    page.models.forEach((model, m) => ofBox.append(make("option", { value: String(m) }, `clips of ${model.name}`)));

    const models = (a, b) => page.models.filter((model) => model.means[a] && model.means[b] && (tk.anchorsShown() || !model.anchor))
      .map((model) => ({ name: model.name, style: model.style, anchor: model.anchor, x: model.means[a], y: model.means[b] }));
    const clips = (a, b, m) => {
      const data = tk.data("clip-data");
      const [p, q] = [a, b].map((c) => data.columns.findIndex((column) => column.key === page.columns[c].key));
      if (p < 0 || q < 0) return [];
      const { values } = data.models[m];
      return data.keys.map((key, i) => ({ name: key, style: page.models[m].style, x: [number(values[p][i])], y: [number(values[q][i])] }))
        .filter((one) => Number.isFinite(one.x[0]) && Number.isFinite(one.y[0]));
    };
    const redraw = () => {
      const [a, b] = [acrossBox, upBox].map((box) => Number(box.value));
      const whole = ofBox.value === "models";
      const dots = whole ? models(a, b) : clips(a, b, Number(ofBox.value));
      const holder = view.querySelector(".plot");
      const [one, two] = [a, b].map((c) => page.columns[c]);
      const arrow = { higher: "higher is better", lower: "lower is better", zero: "closer to 0 is better" };
      $("scatter-said").textContent = dots.length
        ? `${whole ? "Means, with their intervals; open dots are anchors" : `${dots.length} clips`}. ${one.label}: ${arrow[one.better]}. ${two.label}: ${arrow[two.better]}.${whole ? "" : ` Rank correlation ${rankCorrelation(dots)}.`}`
        : "No clip has a number in both columns.";
      if (!dots.length) { holder.replaceChildren(); return; }
      const ends = (pick) => dots.flatMap(pick).filter((v) => v !== null && Number.isFinite(v));
      const box = axes(holder, {
        x: reach(ends((dot) => dot.x)), y: reach(ends((dot) => dot.y)), height: 380, top: 24,
        xName: `${one.label} →`, yName: `${two.label} ↑`, label: `${two.label} against ${one.label}`,
      });
      // Names keep clear of each other and of the dots.
      const placed = dots.map((dot) => [box.at(dot.x[0]), box.up(dot.y[0])]).map(([cx, cy]) => ({ y: cy + 4, start: cx - 6, end: cx + 6 }));
      [...dots].sort((p, q) => box.up(p.y[0]) - box.up(q.y[0])).forEach((dot) => {
        const [cx, cy] = [box.at(dot.x[0]), box.up(dot.y[0])];
        const text = `${dot.name}: ${show(dot.x[0], one)}, ${show(dot.y[0], two)}`;
        const group = draw("g", { class: `${dot.style}${dot.anchor ? " anchor" : ""}` }, draw("title", {}, text));
        if (whole) {
          const bar = (x1, x2, y1, y2) => group.append(draw("line", { class: "whisker", x1, x2, y1, y2 }));
          if (dot.x[1] !== null && dot.x[2] !== null) bar(box.at(dot.x[1]), box.at(dot.x[2]), cy, cy);
          if (dot.y[1] !== null && dot.y[2] !== null) bar(cx, cx, box.up(dot.y[1]), box.up(dot.y[2]));
        }
        group.append(draw("circle", { class: whole ? "dot" : "dot small", cx, cy, r: whole ? 5 : 3.5 }));
        if (whole) {
          const length = LETTER * dot.name.length;
          const left = cx + 9 + length > box.right;
          let y = cy - 8;
          const start = left ? cx - 9 - length : cx + 9;
          while (placed.some((p) => Math.abs(p.y - y) < 13 && p.start < start + length && start < p.end)) y += 13;
          placed.push({ y, start, end: start + length });
          if (y > cy + 6) group.append(draw("line", { class: "leader", x1: cx, x2: left ? cx - 7 : cx + 7, y1: cy, y2: y - 4 }));
          group.append(draw("text", { class: "name", x: left ? cx - 9 : cx + 9, y, "text-anchor": left ? "end" : "start" }, dot.name));
        }
        box.svg.append(group);
      });
    };
    const rankCorrelation = (dots) => {
      const ranks = (values) => {
        const sorted = values.map((v, i) => [v, i]).sort((p, q) => p[0] - q[0]);
        const out = [];
        for (let i = 0; i < sorted.length;) {
          let j = i;
          while (j + 1 < sorted.length && sorted[j + 1][0] === sorted[i][0]) j += 1;
          for (let k = i; k <= j; k += 1) out[sorted[k][1]] = (i + j) / 2;
          i = j + 1;
        }
        return out;
      };
      const [p, q] = [ranks(dots.map((dot) => dot.x[0])), ranks(dots.map((dot) => dot.y[0]))];
      const mean = (dots.length - 1) / 2;
      let [pq, pp, qq] = [0, 0, 0];
      p.forEach((v, i) => { pq += (v - mean) * (q[i] - mean); pp += (v - mean) ** 2; qq += (q[i] - mean) ** 2; });
      return pp && qq ? show(pq / Math.sqrt(pp * qq), { digits: 2 }) : "–";
    };
    [acrossBox, upBox, ofBox].forEach((box) => { box.onchange = redraw; });
    document.addEventListener("tk-anchors", redraw);
    view.hidden = false;
    redraw();
    let width = view.clientWidth;
    new ResizeObserver(() => { if (Math.abs(view.clientWidth - width) > 20) { width = view.clientWidth; redraw(); } }).observe(view);
  };
  whenNear($("scatter"), start);
})();
