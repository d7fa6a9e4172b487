"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Cells: open the section that an address points to.
  const reveal = (anchor) => {
    const target = anchor && document.getElementById(anchor);
    if (!target) return;
    if (target.tagName === "DETAILS") target.open = true;
    target.scrollIntoView({ block: "start" });
    if (target.tagName === "DETAILS") $("summary", target).focus({ preventScroll: true });
  };
  const goTo = (anchor) => {
    if (decodeURIComponent(location.hash.slice(1)) === anchor) reveal(anchor);
    else location.hash = anchor;
  };
  const revealHash = () => reveal(decodeURIComponent(location.hash.slice(1)));
  addEventListener("hashchange", revealHash);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (link && link.hash === location.hash) revealHash();
  });
  const cells = all("details.cell");
  const button = $("#open-all");
  if (button) button.addEventListener("click", () => {
    const open = !cells.every((cell) => cell.open);
    cells.forEach((cell) => { cell.open = open; });
    button.textContent = open ? "Close all" : "Open all";
  });
  let wereClosed = [];
  addEventListener("beforeprint", () => {
    wereClosed = all("details:not([open])");
    wereClosed.forEach((part) => { part.open = true; });
  });
  addEventListener("afterprint", () => wereClosed.forEach((part) => { part.open = false; }));

  // Table: sort by any column, filter by words and verdicts.
  const body = $("#table tbody");
  const rows = [...body.rows];
  const compare = (index, numeric, sign) => (a, b) => {
    const [x, y] = [a.cells[index].dataset.key, b.cells[index].dataset.key];
    if (x === "" || y === "") return (x === "") - (y === ""); // absent figures stay last either way
    return sign * (numeric ? Number(x) - Number(y) : x.localeCompare(y, undefined, { numeric: true }));
  };
  all("#table thead th").forEach((head, index) => {
    $("button", head).addEventListener("click", (event) => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      all("#table thead th").forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const numeric = event.currentTarget.dataset.kind === "number";
      rows.sort(compare(index, numeric, descending ? -1 : 1)).forEach((row) => body.append(row));
    });
  });
  const filter = () => {
    const words = $("#filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const standings = new Set(all(".pill[aria-pressed=true]").map((pill) => pill.dataset.standing));
    rows.forEach((row) => {
      const text = row.textContent.toLowerCase();
      row.hidden = !standings.has(row.dataset.standing) || !words.every((word) => text.includes(word));
    });
    const left = rows.filter((row) => !row.hidden).length;
    $("#shown").textContent = left === rows.length ? "" : `${left} of ${rows.length} cells`;
  };
  $("#filter").addEventListener("input", filter);
  all(".pill").forEach((pill) => pill.addEventListener("click", () => {
    pill.setAttribute("aria-pressed", String(pill.getAttribute("aria-pressed") !== "true"));
    filter();
  }));

  // Chart: colours come from the style sheet, so dark mode needs no redraw.
  const spec = $("#chart-spec");
  const tooltip = $("#tooltip");
  const showTooltip = (_handler, event, item) => {
    const datum = item && item.datum;
    tooltip.hidden = !(datum && datum.lines);
    if (tooltip.hidden) return;
    const name = document.createElement("b");
    name.textContent = datum.cell_id;
    const lines = [`${datum.standing}${datum.front ? ", on the Pareto front" : ""}`, ...datum.lines];
    tooltip.replaceChildren(name, ...lines.map((line) => {
      const row = document.createElement("span");
      row.textContent = line;
      return row;
    }));
    const box = tooltip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, document.documentElement.clientWidth - box.width - 8);
    const above = event.clientY - box.height - 14;
    tooltip.style.left = `${Math.max(left, 8)}px`;
    tooltip.style.top = `${above > 8 ? above : event.clientY + 18}px`;
  };
  if (spec && window.vegaEmbed) {
    const options = {
      mode: "vega-lite", renderer: "svg", actions: false, defaultStyle: false, hover: true, ast: true, tooltip: showTooltip,
    };
    vegaEmbed("#pareto-chart", JSON.parse(spec.textContent), options).then(({ view }) => {
      view.addEventListener("click", (_event, item) => item && item.datum && item.datum.anchor && goTo(item.datum.anchor));
      document.documentElement.dataset.chart = "drawn";
    });
  }
  if (location.hash) revealHash();
})();
