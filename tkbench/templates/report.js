"use strict";
// What the parts of a report's script share: page data, numbers, copying, drawings as files.
// Everything is put in as text nodes: names and keys are strangers' file names.
const tk = (() => {
  const $ = (id) => document.getElementById(id);
  const make = (tag, options = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), options);
    node.append(...children);
    return node;
  };
  const draw = (tag, attributes = {}, ...children) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value));
    node.append(...children);
    return node;
  };
  // Large data are parsed when somebody comes near them.
  const parsed = new Map();
  const data = (id) => {
    if (!parsed.has(id)) parsed.set(id, JSON.parse($(id).textContent));
    return parsed.get(id);
  };
  const page = data("page-data");

  const whenNear = (node, run) => {
    if (!node) return;
    const watcher = new IntersectionObserver((seen) => {
      if (!seen.some((one) => one.isIntersecting)) return;
      watcher.disconnect();
      run();
    }, { rootMargin: "800px" });
    watcher.observe(node);
  };

  const number = (text) => (text === "" || text === null ? NaN : Number(String(text).replace("inf", "Infinity")));
  const goodness = (x, better) => (better === "higher" ? x : better === "lower" ? -x : -Math.abs(x));
  const show = (x, column, signed = column.better === "zero") => {
    if (Number.isNaN(x)) return "–";
    const text = Number.isFinite(x) ? Math.abs(x).toFixed(column.digits) : "∞";
    const zero = Number.isFinite(x) && Number(text) === 0;
    return (x < 0 && !zero ? "−" : x > 0 && !zero && signed ? "+" : "") + text;
  };
  const order = new Intl.Collator("en", { numeric: true });

  // A cell of a CSV. A text that a spreadsheet would run as a formula gets a quote before it.
  const csvCell = (value) => {
    const text = String(value ?? "").replace(/\s+/g, " ");
    const safe = /^[=+\-@]/.test(text) && !/^[+-]?([0-9.]+(e[+-]?[0-9]+)?|inf)$/.test(text) ? `'${text}` : text;
    return /[",\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
  };
  const csv = (rows) => rows.map((row) => row.map(csvCell).join(",")).join("\n") + "\n";
  const plain = (x) => (x === null || Number.isNaN(x) ? "" : String(Number(x.toPrecision(6))).replace("Infinity", "inf"));

  const copy = async (text, teller, what) => {
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Pages that are opened as files may have no clipboard of the new kind.
      const area = make("textarea", { value: text, className: "hidden" });
      document.body.append(area);
      area.select();
      done = document.execCommand("copy");
      area.remove();
    }
    teller.textContent = done ? `${what} copied` : "The browser does not let this page copy";
  };

  const KEPT = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "stroke-linecap", "opacity",
    "font-size", "font-weight", "font-family", "text-anchor"];
  const saveSvg = (figure, name) => {
    const shown = [...figure.querySelectorAll("svg")].find((one) => one.getBoundingClientRect().width > 0);
    if (!shown) return;
    const out = shown.cloneNode(true);
    const [from, to] = [shown, out].map((root) => [root, ...root.querySelectorAll("*")]);
    from.forEach((node, i) => {
      const style = getComputedStyle(node);
      if (style.display === "none") to[i].setAttribute("display", "none");
      to[i].removeAttribute("class");
      KEPT.forEach((key) => to[i].setAttribute(key, style.getPropertyValue(key)));
    });
    const [, , width, height] = shown.getAttribute("viewBox").split(" ");
    out.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    out.setAttribute("width", width);
    out.setAttribute("height", height);
    const paper = getComputedStyle(document.documentElement).getPropertyValue("--paper").trim();
    out.prepend(draw("rect", { width: "100%", height: "100%", fill: paper }));
    const address = URL.createObjectURL(new Blob([out.outerHTML], { type: "image/svg+xml" }));
    make("a", { href: address, download: `${name}.svg` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
  };

  document.querySelectorAll(".needs-script").forEach((node) => { node.hidden = false; });
  document.querySelectorAll("[data-save]").forEach((button) => {
    button.setAttribute("aria-label", `Download this figure as SVG: ${button.dataset.save}`);
    button.onclick = () => saveSvg(button.closest("figure"), button.dataset.save.replace(/[^\w.-]+/g, "-"));
  });

  return { $, make, draw, data, page, whenNear, number, goodness, show, order, csv, plain, copy };
})();
