// The ranking: sort, filter, hide anchors, choose columns, copy. The table is in the page; nothing is drawn anew.
(() => {
  const { $, make, page, number, order, csv, plain, copy } = tk;
  const board = $("board");
  const body = board.tBodies[0];
  const rows = [...body.rows];
  const heads = [...board.tHead.rows[0].cells];
  const state = { sort: null, best: true };

  const cellsOf = (column) => board.querySelectorAll(`[data-c="${column}"]`);
  const boxes = [...document.querySelectorAll("[data-column]")];
  const few = boxes.map((box) => box.checked);
  const chosen = () => boxes.flatMap((box, c) => (box.checked ? [c] : []));
  const showColumns = () => {
    boxes.forEach((box, c) => cellsOf(c).forEach((cell) => { cell.hidden = !box.checked; }));
    $("rank-columns-count").textContent = `${chosen().length} of ${boxes.length}`;
    document.dispatchEvent(new Event("tk-columns"));
  };
  boxes.forEach((box) => { box.onchange = showColumns; });
  $("columns-few").onclick = () => { boxes.forEach((box, c) => { box.checked = few[c]; }); showColumns(); };
  $("columns-all").onclick = () => { boxes.forEach((box) => { box.checked = true; }); showColumns(); };
  tk.shownColumns = () => new Set(chosen().map((c) => page.columns[c].key));

  const menu = $("rank-columns");
  document.addEventListener("click", (event) => { if (menu.open && !menu.contains(event.target)) menu.open = false; });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });

  const filter = () => {
    const words = $("rank-text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const anchors = !$("rank-anchors") || $("rank-anchors").checked;
    document.body.classList.toggle("no-anchors", !anchors);
    let shown = 0;
    rows.forEach((row) => {
      const name = row.dataset.name.toLowerCase();
      row.hidden = !(words.every((word) => name.includes(word)) && (anchors || !row.classList.contains("is-anchor")));
      shown += Number(!row.hidden);
    });
    $("rank-said").textContent = shown === rows.length ? "" : `${shown} of ${rows.length} rows`;
    document.dispatchEvent(new Event("tk-anchors"));
  };
  $("rank-text").oninput = filter;
  if ($("rank-anchors")) $("rank-anchors").onchange = filter;
  tk.anchorsShown = () => !document.body.classList.contains("no-anchors");

  // Sorting: by the worth of a cell, best first, then worst first, then the order of the ranking again.
  const keys = heads.map((head, i) => {
    if (head.dataset.c !== undefined) return (row) => number(row.querySelector(`[data-c="${head.dataset.c}"]`).dataset.v);
    if (head.classList.contains("model")) return (row) => row.dataset.name;
    if (i === 0) return (row) => -Number(row.dataset.place);
    return (row) => number(row.cells[i].dataset.v);
  });
  const compare = (a, b) => {
    const [x, y] = [a, b].map(keys[state.sort]);
    if (typeof x === "string") return (state.best ? 1 : -1) * order.compare(x, y);
    if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y));
    return x === y ? a.dataset.place - b.dataset.place : (state.best ? 1 : -1) * (x > y ? -1 : 1);
  };
  const sortBy = (i) => {
    if (state.sort !== i) Object.assign(state, { sort: i, best: true });
    else if (state.best) state.best = false;
    else Object.assign(state, { sort: null, best: true });
    const sorted = state.sort === null ? rows : [...rows].sort(compare);
    body.append(...sorted);
    heads.forEach((head, j) => {
      const here = j === state.sort;
      // Numbers that are better when higher fall from the best on; names rise.
      const better = head.dataset.c === undefined ? "higher" : page.columns[head.dataset.c].better;
      const falls = head.classList.contains("model") || j === 0 ? !state.best : (better === "higher") === state.best;
      if (here) head.setAttribute("aria-sort", better === "zero" ? "other" : falls ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
      head.querySelector(".state").textContent = here ? (state.best ? " ▾" : " ▴") : "";
    });
  };
  heads.forEach((head, i) => {
    const link = head.querySelector("small a");
    const label = head.querySelector(".title") || head.firstChild;
    const button = make("button", { type: "button", className: "sort" });
    label.replaceWith(button);
    button.append(label, make("span", { className: "state", ariaHidden: "true" }));
    button.onclick = () => sortBy(i);
    if (link) link.closest("small").before(button);
  });

  const textOf = (cell) => {
    const bare = cell.cloneNode(true);
    bare.querySelectorAll("sup, small, .hidden, .tag").forEach((node) => node.remove());
    return bare.textContent.trim();
  };
  const small = (cell) => (cell.querySelector("small")?.textContent ?? "").trim();
  const visible = () => [...body.rows].filter((row) => !row.hidden);
  const markdown = () => {
    const safe = (text) => text.replace(/</g, "&lt;").replace(/[|`]/g, "\\$&").replace(/\s+/g, " ");
    const columns = chosen();
    const line = (cells) => `| ${cells.map(safe).join(" | ")} |`;
    const arrows = { higher: "↑", lower: "↓", zero: "→0" };
    const top = ["", "Model", ...columns.map((c) => `${page.columns[c].label} ${arrows[page.columns[c].better]}`)];
    const lines = visible().map((row) => line([
      [textOf(row.cells[0]), small(row.cells[0])].filter(Boolean).join(" "),
      row.dataset.name + (row.classList.contains("is-anchor") ? " (anchor)" : ""),
      ...columns.map((c) => {
        const cell = row.querySelector(`[data-c="${c}"]`);
        return [textOf(cell), small(cell)].filter(Boolean).join(" ");
      }),
    ]));
    const below = [page.about, `Signature: ${page.signature}`].map(safe);
    return [line(top), `|${" --- |".repeat(top.length)}`, ...lines, "", ...below, ""].join("\n");
  };
  const asCsv = () => {
    const columns = chosen();
    const top = ["rank", "model", "anchor", ...columns.flatMap((c) => ["", "_low", "_high"].map((end) => page.columns[c].key + end))];
    const lines = visible().map((row) => {
      const model = page.models[Number(row.dataset.place)];
      const numbers = columns.flatMap((c) => {
        const cell = row.querySelector(`[data-c="${c}"]`);
        return model.means[c]?.map(plain) ?? [textOf(cell).replace("∞", "inf"), "", ""];
      });
      return [textOf(row.cells[0]), model.name, model.anchor, ...numbers];
    });
    return csv([top, ...lines]);
  };
  $("copy-markdown").onclick = () => copy(markdown(), $("rank-said"), "Markdown");
  $("copy-csv").onclick = () => copy(asCsv(), $("rank-said"), "CSV");

  // A link to a note opens the box that it is in.
  document.querySelectorAll('a[href^="#note-"]').forEach((link) => link.addEventListener("click", () => {
    const box = document.querySelector(link.getAttribute("href")).closest("details");
    if (box) box.open = true;
  }));

  const metric = $("gap-metric");
  if (metric) {
    metric.onchange = () => document.querySelectorAll("[data-gap]").forEach((one) => { one.hidden = one.dataset.gap !== metric.value; });
  }
  showColumns();
})();
