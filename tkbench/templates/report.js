
"use strict";
// The per-clip table. Everything is put in as text nodes: keys are strangers' file names.
(() => {
  const data = JSON.parse(document.getElementById("clip-data").textContent);
  const $ = (id) => document.getElementById(id);
  const PAGE = 50;
  const ALL = "all";
  const state = { model: String(data.chosen), text: "", page: 0, sort: data.rank, worst: true };

  const make = (tag, options = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), options);
    node.append(...children);
    return node;
  };
  const at = (list, i) => (typeof list === "number" ? list : list[i]);
  const value = (model, column, i) => {
    const found = model.values[column][i];
    return found === null ? NaN : Number(String(found).replace("inf", "Infinity"));
  };
  const goodness = (x, better) => (better === "higher" ? x : better === "lower" ? -x : -Math.abs(x));
  const show = (x, column) => {
    const text = Number.isFinite(x) ? Math.abs(x).toFixed(column.digits) : "∞";
    const zero = Number.isFinite(x) && Number(text) === 0;
    return (x < 0 && !zero ? "−" : x > 0 && !zero && column.better === "zero" ? "+" : "") + text;
  };
  const order = new Intl.Collator("en", { numeric: true });

  // Columns in which no clip of a model has a score: why is a footnote of the ranking, not of each row.
  const scored = data.models.map((model) => data.columns.map((_, c) => model.values[c].some((v) => v !== null)));
  // Why a row lacks scores, and what was noted of those it has; equal texts are said once, with their columns.
  const why = (m, i) => {
    const model = data.models[m];
    const live = data.columns.map((_, c) => c).filter((c) => scored[m][c] || !scored[m].some(Boolean));
    const found = new Map();
    live.forEach((c) => {
      const text = [at(model.reasons[c], i), at(model.details[c], i)].map((t) => data.texts[t]).filter(Boolean).join(": ");
      const { name, rest } = data.columns[c];
      if (text) found.set(text, [...(found.get(text) || []), name + (rest ? ` (${rest})` : "")]);
    });
    return [...found].map(([text, names]) => (names.length === live.length ? text : `${names.join(", ")}: ${text}`));
  };
  const rows = data.models.flatMap((model, m) => data.keys.map((key, i) => {
    const notes = why(m, i);
    const reasons = data.columns.map((_, c) => data.texts[at(model.reasons[c], i)]);
    const hay = [key, data.speakers[i], model.name, ...reasons, ...notes].join("\n").toLowerCase();
    return { m, i, key, speaker: data.speakers[i], notes, hay, player: model.players[i] };
  }));

  const compare = (a, b) => {
    const ties = () => order.compare(a.key, b.key) || a.m - b.m;
    if (typeof state.sort === "string") {
      const text = (row) => (state.sort === "model" ? data.models[row.m].name : row[state.sort]);
      return (state.worst ? 1 : -1) * order.compare(text(a), text(b)) || ties();
    }
    const better = data.columns[state.sort].better;
    const [x, y] = [a, b].map((row) => goodness(value(data.models[row.m], state.sort, row.i), better));
    // A clip without a score is the worst of all.
    const [p, q] = [x, y].map((v) => (Number.isNaN(v) ? -Infinity : v));
    if (p === q) return Number(Number.isNaN(y)) - Number(Number.isNaN(x)) || ties();
    return (state.worst ? 1 : -1) * (p < q ? -1 : 1);
  };

  const heads = () => {
    const list = [{ id: "key", name: "Clip" }, { id: "speaker", name: "Speaker" }];
    if (state.model === ALL) list.push({ id: "model", name: "Model" });
    data.columns.forEach((column, id) => list.push({ id, ...column, num: true }));
    return list;
  };

  const drawHead = () => {
    const cells = heads().map((head) => {
      const sorted = head.id === state.sort;
      const button = make("button", { type: "button" }, head.name);
      if (head.num) button.append(make("span", { className: "arrow", title: head.hint }, ` ${head.arrow}`));
      if (sorted) {
        const label = head.num ? (state.worst ? "worst first" : "best first") : state.worst ? "A to Z" : "Z to A";
        button.append(make("small", { className: "state" }, label));
      } else if (head.num) button.append(make("small", {}, head.rest || head.unit || "\u00a0"));
      button.onclick = () => {
        state.worst = sorted ? !state.worst : true;
        state.sort = head.id;
        state.page = 0;
        draw();
        const again = [...$("clip-head").children][heads().findIndex((h) => h.id === head.id)];
        again.firstChild.focus();
      };
      const cell = make("th", { scope: "col", className: head.num ? "num" : "" }, button);
      const rising = state.worst === (head.better !== "lower");
      if (sorted) cell.setAttribute("aria-sort", head.better === "zero" ? "other" : rising ? "ascending" : "descending");
      return cell;
    });
    $("clip-head").replaceChildren(...cells);
  };

  const play = (id) => {
    const player = $(id);
    const video = player.querySelector("video");
    player.scrollIntoView({ block: "center" });
    video.focus({ preventScroll: true });
    history.replaceState(null, "", `#${id}`);
    video.play().catch(() => {});
  };

  const drawRow = (row) => {
    const model = data.models[row.m];
    const clip = make("td", { className: "clip" }, row.key);
    if (row.player) {
      const button = make("button", { type: "button", className: "play" }, "▶ Play");
      button.setAttribute("aria-label", `Play ${row.key} of ${model.name}`);
      button.onclick = () => play(row.player);
      clip.append(button);
    }
    const cells = [clip, make("td", {}, row.speaker || "–")];
    if (state.model === ALL) cells.push(make("td", {}, model.name));
    data.columns.forEach((column, c) => {
      const x = value(model, c, row.i);
      const reason = data.texts[at(model.reasons[c], row.i)] || "no row";
      const cell = Number.isNaN(x) ? make("span", { className: "reason" }, reason) : show(x, column);
      cells.push(make("td", { className: "num" }, cell));
    });
    const line = [make("tr", {}, ...cells)];
    if (row.notes.length) cells[0].append(make("small", { className: "why" }, row.notes.join(" · ")));
    return line;
  };

  const draw = () => {
    const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
    const found = rows.filter((row) => (state.model === ALL || row.m === Number(state.model)) && words.every((word) => row.hay.includes(word)));
    found.sort(compare);
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    state.page = Math.min(state.page, pages - 1);
    const first = state.page * PAGE;
    const part = found.slice(first, first + PAGE);
    drawHead();
    $("clip-body").replaceChildren(...part.flatMap(drawRow));
    if (!part.length) $("clip-body").append(make("tr", {}, make("td", { colSpan: heads().length, className: "reason" }, "No clip matches.")));
    $("clip-count").textContent = `${found.length.toLocaleString("en")} row${found.length === 1 ? "" : "s"}`;
    $("clip-page").textContent = `${first + (part.length ? 1 : 0)}–${first + part.length} of ${found.length.toLocaleString("en")}`;
    $("clip-back").disabled = state.page === 0;
    $("clip-next").disabled = state.page >= pages - 1;
    $("clip-page").parentElement.hidden = pages === 1;
  };

  const choose = $("clip-model");
  data.models.forEach((model, m) => choose.append(make("option", { value: String(m) }, model.name + (model.anchor ? " (anchor)" : ""))));
  choose.append(make("option", { value: ALL }, "All models"));
  choose.value = state.model;
  choose.onchange = () => {
    Object.assign(state, { model: choose.value, page: 0 });
    if (state.sort === "model") state.sort = data.rank;
    draw();
  };
  $("clip-text").oninput = (event) => { Object.assign(state, { text: event.target.value, page: 0 }); draw(); };
  $("clip-back").onclick = () => { state.page -= 1; draw(); };
  $("clip-next").onclick = () => { state.page += 1; draw(); };

  // One voice at a time.
  document.querySelectorAll("video").forEach((video) => video.addEventListener("play", () => {
    document.querySelectorAll("video").forEach((other) => other === video || other.pause());
  }));
  $("clip-view").hidden = false;
  draw();
})();
