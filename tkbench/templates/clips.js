// The per-clip table: one page of rows at a time, worst against the true video first.
(() => {
  const { $, make, goodness, show, order, whenNear, csv, plain, copy } = tk;
  const PAGE = 15;
  const ALL = "all";
  const GAP = "gap";

  const start = () => {
    const data = tk.data("clip-data");
    const rank = data.columns[data.rank];
    const state = { model: String(data.chosen), text: "", page: 0, sort: data.real === null ? data.rank : GAP, worst: true };
    const at = (list, i) => (typeof list === "number" ? list : list[i]);
    const value = (m, column, i) => {
      const found = data.models[m].values[column][i];
      return found === null ? NaN : tk.number(found);
    };
    // How far a clip lies from the true video by the ranking metric: below 0 where the model is worse.
    const gap = (m, i) => {
      if (data.real === null) return NaN;
      const [own, real] = [m, data.real].map((one) => value(one, data.rank, i));
      return own === real ? 0 : goodness(own, rank.better) - goodness(real, rank.better);
    };
    const players = data.models.map((model) => new Set(model.players));
    // Columns in which no clip of a model has a score: why is a note of the ranking, not of each row.
    const scored = data.models.map((model) => data.columns.map((_, c) => model.values[c].some((v) => v !== null)));
    const label = (c) => data.columns[c].name + (data.columns[c].rest ? ` (${data.columns[c].rest})` : "");
    // Why a row lacks scores, and what was noted of those it has; equal texts are said once, with their columns.
    const why = (m, i) => {
      const model = data.models[m];
      const live = data.columns.map((_, c) => c).filter((c) => scored[m][c] || !scored[m].some(Boolean));
      const found = new Map();
      live.forEach((c) => {
        const text = [at(model.reasons[c], i), at(model.details[c], i)].map((t) => data.texts[t]).filter(Boolean).join(": ");
        if (text) found.set(text, [...(found.get(text) || []), label(c)]);
      });
      return [...found].map(([text, names]) => (names.length === live.length ? text : `${names.join(", ")}: ${text}`));
    };
    const words = (row) => [data.keys[row.i], data.speakers[row.i], data.models[row.m].name,
      ...data.columns.map((_, c) => data.texts[at(data.models[row.m].reasons[c], row.i)]), ...why(row.m, row.i)]
      .join("\n").toLowerCase();

    const compare = (a, b) => {
      const ties = () => order.compare(data.keys[a.i], data.keys[b.i]) || a.m - b.m;
      if (["key", "speaker", "model"].includes(state.sort)) {
        const text = (row) => ({ key: data.keys[row.i], speaker: data.speakers[row.i], model: data.models[row.m].name }[state.sort]);
        return (state.worst ? 1 : -1) * order.compare(text(a), text(b)) || ties();
      }
      const [x, y] = [a.x, b.x];
      // A clip without a score is the worst of all.
      const [p, q] = [x, y].map((v) => (Number.isNaN(v) ? -Infinity : v));
      if (p === q) return Number(Number.isNaN(y)) - Number(Number.isNaN(x)) || ties();
      return (state.worst ? 1 : -1) * (p < q ? -1 : 1);
    };

    // The ranking's choice of columns holds here, too; the ranking metric is always there.
    const columns = () => {
      const shown = tk.shownColumns();
      return data.columns.map((_, c) => c).filter((c) => c === data.rank || shown.has(data.columns[c].key));
    };
    const against = () => data.real !== null && state.model !== String(data.real);
    const heads = () => {
      const list = [{ id: "key", name: "Clip" }, { id: "speaker", name: "Speaker" }];
      if (state.model === ALL) list.push({ id: "model", name: "Model" });
      if (against()) list.push({ id: GAP, name: "Against real", rest: rank.name, hint: "below 0: worse than the true video", arrow: "↑", num: true });
      columns().forEach((id) => list.push({ ...data.columns[id], id, num: true }));
      return list;
    };

    const drawHead = () => {
      const cells = heads().map((head) => {
        const sorted = head.id === state.sort;
        const button = make("button", { type: "button" }, head.name);
        if (head.num) button.append(make("span", { className: "arrow", title: head.hint }, ` ${head.arrow}`));
        if (sorted) {
          const text = head.num ? (state.worst ? "worst first" : "best first") : state.worst ? "A to Z" : "Z to A";
          button.append(make("small", { className: "state" }, text));
        } else if (head.num) button.append(make("small", {}, head.rest || head.unit || "\u00a0"));
        button.onclick = () => {
          Object.assign(state, { worst: sorted ? !state.worst : true, sort: head.id, page: 0 });
          draw();
          [...$("clip-head").children][heads().findIndex((h) => h.id === head.id)].firstChild.focus();
        };
        const cell = make("th", { scope: "col", className: head.num ? "num" : "" }, button);
        const rising = state.worst === (head.better !== "lower");
        if (sorted) cell.setAttribute("aria-sort", head.better === "zero" ? "other" : rising ? "ascending" : "descending");
        return cell;
      });
      $("clip-head").replaceChildren(...cells);
    };

    const drawRow = ({ m, i }) => {
      const key = data.keys[i];
      const clip = make("td", { className: "clip" }, key);
      if (players[m].has(i)) {
        const button = make("button", { type: "button", className: "play" }, "▶ Watch");
        button.setAttribute("aria-label", `Watch ${key} of ${data.models[m].name}`);
        button.onclick = () => tk.watch(key, m);
        clip.append(button);
      }
      const cells = [clip, make("td", {}, data.speakers[i] || "–")];
      if (state.model === ALL) cells.push(make("td", {}, data.models[m].name));
      if (against()) {
        const x = gap(m, i);
        const text = show(x, rank, true);
        cells.push(make("td", { className: `num${text[0] === "−" ? " worse" : text[0] === "+" ? " better" : ""}` }, text));
      }
      columns().forEach((c) => {
        const x = value(m, c, i);
        const reason = data.texts[at(data.models[m].reasons[c], i)] || "no row";
        cells.push(make("td", { className: "num" }, Number.isNaN(x) ? make("span", { className: "reason" }, reason) : show(x, data.columns[c])));
      });
      const notes = why(m, i);
      if (notes.length) clip.append(make("small", { className: "why" }, notes.join(" · ")));
      return make("tr", {}, ...cells);
    };

    const found = () => {
      const models = state.model === ALL ? data.models.map((_, m) => m) : [Number(state.model)];
      const asked = state.text.toLowerCase().split(/\s+/).filter(Boolean);
      const rows = models.flatMap((m) => data.keys.map((_, i) => ({ m, i, x: NaN })));
      const kept = asked.length ? rows.filter((row) => { const hay = words(row); return asked.every((word) => hay.includes(word)); }) : rows;
      if (state.sort === GAP) kept.forEach((row) => { row.x = gap(row.m, row.i); });
      else if (typeof state.sort === "number") {
        const { better } = data.columns[state.sort];
        kept.forEach((row) => { row.x = goodness(value(row.m, state.sort, row.i), better); });
      }
      return kept.sort(compare);
    };

    const draw = () => {
      if (state.sort === GAP && !against()) state.sort = data.rank;
      const all = found();
      const pages = Math.max(1, Math.ceil(all.length / PAGE));
      state.page = Math.min(state.page, pages - 1);
      const first = state.page * PAGE;
      const part = all.slice(first, first + PAGE);
      drawHead();
      $("clip-body").replaceChildren(...part.map(drawRow));
      if (!part.length) $("clip-body").append(make("tr", {}, make("td", { colSpan: heads().length, className: "reason" }, "No clip matches.")));
      const count = all.length.toLocaleString("en");
      $("clip-count").textContent = `${count} row${all.length === 1 ? "" : "s"}`;
      $("clip-page").textContent = `${first + (part.length ? 1 : 0)}–${first + part.length} of ${count}`;
      $("clip-back").disabled = state.page === 0;
      $("clip-next").disabled = state.page >= pages - 1;
      $("clip-page").parentElement.hidden = pages === 1;
      const order = state.sort === GAP && state.worst ? "Clips on which it falls furthest below the true video come first: what is hard for the true video, too, is not the model's fault. " : "";
      $("clip-order").textContent = `${order}Columns are those chosen in the ranking.`;
    };

    const choose = $("clip-model");
    data.models.forEach((model, m) => choose.append(make("option", { value: String(m) }, model.name + (model.anchor ? " (anchor)" : ""))));
    choose.append(make("option", { value: ALL }, "All models"));
    choose.value = state.model;
    choose.onchange = () => {
      Object.assign(state, { model: choose.value, page: 0 });
      if (state.sort === "model") state.sort = data.rank;
      if (state.sort === data.rank && against()) state.sort = GAP;
      draw();
    };
    $("clip-text").oninput = (event) => { Object.assign(state, { text: event.target.value, page: 0 }); draw(); };
    $("clip-back").onclick = () => { state.page -= 1; draw(); };
    $("clip-next").onclick = () => { state.page += 1; draw(); };
    $("clip-csv").onclick = () => {
      const top = ["clip", "speaker", "model", ...(against() ? [`${rank.key}_against_real`] : []), ...columns().map((c) => data.columns[c].key)];
      const lines = found().map(({ m, i }) => [data.keys[i], data.speakers[i], data.models[m].name,
        ...(against() ? [plain(gap(m, i))] : []), ...columns().map((c) => plain(value(m, c, i)))]);
      copy(csv([top, ...lines]), $("clip-count"), "CSV");
    };
    document.addEventListener("tk-columns", draw);
    draw();
  };

  $("clip-view").hidden = false;
  whenNear($("clips"), start);
})();
