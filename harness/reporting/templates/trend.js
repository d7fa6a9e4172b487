"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const { nights, series } = JSON.parse($("#trend-data").textContent);
  const [RUN, DAY, HREF, FACTS, NOTES, REPEATS, WHY_NOT] = [0, 1, 2, 3, 4, 5, 6];
  const MISSING = 65535;
  const TOP = 65534;
  const WORDS = { worse: "regression", better: "improvement", suspected: "suspected", accepted: "accepted", resolved: "went away", machine: "the machine" };

  // Values: three rows of 16-bit numbers (value, low, high), one entry a night.
  const unpack = (one) => {
    if (one.rows) return one.rows;
    const bytes = Uint8Array.from(atob(one.data), (letter) => letter.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const count = bytes.length / 6;
    const [low, span] = one.range;
    one.rows = [0, 1, 2].map((row) => Array.from({ length: count }, (_, place) => {
      const packed = view.getUint16(2 * (row * count + place), true);
      return packed === MISSING ? NaN : low + (packed / TOP) * span;
    }));
    return one.rows;
  };

  // Numbers with units; `step` is the distance of ticks, which decides the digits.
  const digits = (value, step) => {
    const places = step ? Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) : Math.max(0, 3 - Math.ceil(Math.log10(Math.abs(value) || 1)));
    return value.toFixed(Math.min(places, 8)).replace("-", "−");
  };
  const scales = {
    seconds: (top) => (top < 1e-3 ? [1e-6, "µs"] : top < 1 ? [1e-3, "ms"] : top < 120 ? [1, "s"] : [60, "min"]),
    bytes: (top) => {
      const power = Math.max(0, Math.min(4, Math.floor(Math.log(Math.max(top, 1) * 1.024) / Math.log(1024))));
      return [1024 ** power, ["B", "KiB", "MiB", "GiB", "TiB"][power]];
    },
    share: () => [0.01, "%"],
    joules: () => [1, "J"],
  };
  const scale = (unit, top) => (scales[unit] || (() => [1, ""]))(top);
  const write = (value, unit, step) => {
    const [size, word] = scale(unit, Math.abs(value));
    return `${digits(value / size, step ? step / size : unit === "share" ? 0.01 : 0)}${word ? ` ${word}` : ""}`;
  };
  const ticks = (low, high, unit, count) => {
    const size = scale(unit, Math.max(Math.abs(low), Math.abs(high)))[0];
    const rough = (high - low) / size / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power * size;
    const found = [];
    for (let at = Math.ceil(low / step); at * step <= high; at += 1) found.push(at * step);
    return found.map((value) => [value, write(value, unit, step)]);
  };

  // Drawing
  const NAMESPACE = "http://www.w3.org/2000/svg";
  const make = (tag, attributes, parent, text) => {
    const element = document.createElementNS(NAMESPACE, tag);
    Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  };
  const monthOf = (text) => text.split(" ")[1];
  const dateTicks = (days, x, width) => { // the first night of each month, or single days of a short series
    const starts = days.map((day, place) => [place, monthOf(day).slice(0, 3)]).filter(([place]) => place > 0 && monthOf(days[place]) !== monthOf(days[place - 1]));
    const few = days.length < 45 ? Math.max(1, Math.ceil(days.length / Math.max(2, Math.floor(width / 90)))) : 0;
    const wanted = few ? days.map((day, place) => [place, day.split(" ").slice(0, 2).map((word) => word.slice(0, 3)).join(" ")]).filter(([place]) => place % few === 0) : starts;
    const shown = [];
    wanted.forEach(([place, text]) => {
      const far = shown.length === 0 || x(place) - x(shown.at(-1)[0]) >= 44;
      if (far && x(place) <= x(days.length - 1) - (few ? 0 : 4)) shown.push([place, text]);
    });
    return shown;
  };

  const draw = (figure) => {
    const one = series[Number(figure.dataset.series)];
    const plot = $(".plot", figure);
    if (!one || !plot.clientWidth) return;
    const [values, lows, highs] = unpack(one);
    const line = nights[one.machine];
    const [width, height] = [plot.clientWidth, plot.clientHeight];
    const edge = { left: 64, right: 14, top: 26, bottom: 26 };
    const [low, high] = one.y;
    const x = (place) => edge.left + ((width - edge.left - edge.right) * (place + 0.5)) / values.length;
    const y = (value) => edge.top + (height - edge.top - edge.bottom) * (1 - Math.min(Math.max((value - low) / (high - low), 0), 1));
    const svg = document.createElementNS(NAMESPACE, "svg");
    svg.setAttribute("aria-hidden", "true");
    ticks(low, high, one.unit, height > 280 ? 7 : 5).forEach(([value, text]) => {
      make("line", { class: "grid", x1: edge.left, x2: width - edge.right, y1: y(value), y2: y(value) }, svg);
      make("text", { x: edge.left - 9, y: y(value) + 4, "text-anchor": "end" }, svg, text);
    });
    const bottom = height - edge.bottom;
    make("line", { class: "axis", x1: edge.left, x2: width - edge.right, y1: bottom, y2: bottom }, svg);
    dateTicks(line.map((night) => night[DAY]), x, width - edge.left).forEach(([place, text]) => {
      make("line", { class: "axis", x1: x(place), x2: x(place), y1: bottom, y2: bottom + 4 }, svg);
      make("text", { x: x(place), y: bottom + 20, "text-anchor": "middle" }, svg, text);
    });
    line.forEach((night, place) => {
      if (night[FACTS].length) make("line", { class: "fact", x1: x(place), x2: x(place), y1: bottom - 7, y2: bottom }, svg);
    });
    drawSteps(svg, one, x, y);
    const radius = Math.max(1.4, Math.min(3.2, (0.36 * (width - edge.left)) / values.length));
    values.forEach((value, place) => {
      if (Number.isNaN(value)) return;
      if (highs[place] > lows[place]) make("line", { class: "whisker", x1: x(place), x2: x(place), y1: y(lows[place]), y2: y(highs[place]) }, svg);
      const beyond = value > high ? 1 : value < low ? -1 : 0;
      const [cx, cy] = [x(place), y(value)];
      if (beyond) make("path", { class: "beyond", d: `M${cx - 4.5},${cy + 4 * beyond}L${cx + 4.5},${cy + 4 * beyond}L${cx},${cy - 4 * beyond}Z` }, svg);
      else make("circle", { class: line[place][REPEATS] ? "value again" : "value", cx, cy, r: radius }, svg);
    });
    drawMarks(svg, one, x, { width, edge, bottom });
    const cursor = make("g", {}, svg);
    plot.replaceChildren(svg);
    figure.shown = { one, x, y, cursor, edge, bottom, width };
    if (figure.at !== undefined) choose(figure, figure.at);
  };
  const drawSteps = (svg, one, x, y) => {
    one.steps.forEach(([start, end, estimate, low, high, kind]) => {
      const group = make("g", { class: kind || "calm" }, svg);
      const [left, right] = [x(start - 0.5), x(end + 0.5)];
      if (high > low) make("rect", { class: "band", x: left, width: right - left, y: y(high), height: Math.max(1, y(low) - y(high)) }, group);
      make("line", { class: "level", x1: left, x2: right, y1: y(estimate), y2: y(estimate) }, group);
    });
  };
  const drawMarks = (svg, one, x, { width, edge, bottom }) => {
    let taken = -Infinity;
    one.marks.forEach(([place, found, kind, label]) => {
      const group = make("g", { class: kind }, svg);
      const at = x(place - 0.5);
      make("line", { class: "cut", x1: at, x2: at, y1: edge.top - 4, y2: bottom }, group);
      make("path", { class: "found", d: `M${x(found) - 4.5},${bottom + 8}L${x(found) + 4.5},${bottom + 8}L${x(found)},${bottom + 1}Z` }, group);
      const toTheLeft = at > width - 90;
      const text = make("text", { class: "flag", x: at + (toTheLeft ? -5 : 5), y: edge.top - 10, "text-anchor": toTheLeft ? "end" : "start" }, group, label);
      if (at - taken < 74) text.setAttribute("y", edge.top + 4);
      taken = at;
    });
  };

  // One night: by pointer, finger or arrow keys; the line beneath reads it out.
  const choose = (figure, place) => {
    const { one, x, y, cursor, edge, bottom } = figure.shown;
    const [values, lows, highs] = unpack(one);
    const readout = $(".readout", figure);
    readout.resting ??= readout.textContent;
    figure.at = place;
    cursor.replaceChildren();
    readout.classList.toggle("live", place !== undefined);
    if (place === undefined) { readout.textContent = readout.resting; return; }
    const night = nights[one.machine][place];
    make("line", { class: "cursor", x1: x(place), x2: x(place), y1: edge.top, y2: bottom }, cursor);
    const parts = [];
    if (Number.isNaN(values[place])) parts.push(["not measured", night[WHY_NOT][one.cell]].filter(Boolean).join(", "));
    else {
      make("circle", { class: "chosen", cx: x(place), cy: y(values[place]), r: 5.5 }, cursor);
      const range = highs[place] > lows[place] ? ` [${write(lows[place], one.unit)}, ${write(highs[place], one.unit)}]` : "";
      parts.push(write(values[place], one.unit) + range);
    }
    if (night[REPEATS]) parts.push("measured again");
    one.marks.forEach(([since, found, kind, label]) => {
      if (since === place) parts.push(`${label} from here (${WORDS[kind]})`);
      if (found === place) parts.push(`${label} found here`);
    });
    const facts = [...night[FACTS], ...night[NOTES]].join("; ");
    const lead = document.createElement(night[HREF] ? "a" : "b");
    lead.textContent = night[DAY];
    lead.title = night[RUN];
    if (night[HREF]) lead.href = night[HREF];
    readout.replaceChildren(lead, `: ${parts.join(", ")}${facts ? `. ${facts}` : ""}`);
  };
  const prepare = (figure) => {
    const plot = $(".plot", figure);
    const nearest = (event) => {
      const { x, one } = figure.shown;
      const step = x(1) - x(0);
      const place = Math.round((event.clientX - plot.getBoundingClientRect().left - x(0)) / step);
      return Math.min(Math.max(place, 0), one.rows[0].length - 1);
    };
    const point = (event) => figure.shown && choose(figure, nearest(event));
    plot.addEventListener("pointermove", point);
    plot.addEventListener("pointerdown", point);
    plot.addEventListener("pointerleave", (event) => {
      const stays = document.activeElement === plot || figure.matches(":hover"); // the link beneath can be reached
      if (event.pointerType === "mouse" && figure.shown && !stays) choose(figure, undefined);
    });
    plot.addEventListener("click", () => open(figure));
    plot.addEventListener("keydown", (event) => {
      if (!figure.shown) return;
      const last = figure.shown.one.rows[0].length - 1;
      const at = figure.at ?? last + 1;
      const next = {
        ArrowRight: Math.min(at + 1, last), ArrowLeft: Math.max(at - 1, 0), PageDown: Math.min(at + 10, last), PageUp: Math.max(at - 10, 0),
        Home: 0, End: last, Escape: undefined,
      };
      if (event.key === "Enter") open(figure);
      else if (event.key in next && !(event.key === "Escape" && figure.at === undefined)) {
        event.preventDefault();
        choose(figure, next[event.key]);
      }
    });
  };
  const open = (figure) => {
    const night = figure.at !== undefined && nights[figure.shown.one.machine][figure.at];
    if (night && night[HREF]) location.href = night[HREF];
  };

  // Large drawings are made when they come into view, and anew when their width changes.
  const figures = all("figure.trend");
  const isSeen = new WeakSet();
  const resized = new ResizeObserver((entries) => entries.forEach(({ target }) => { if (isSeen.has(target)) draw(target); }));
  const seen = new IntersectionObserver((entries) => entries.forEach(({ target, isIntersecting }) => {
    if (!isIntersecting || isSeen.has(target)) return;
    isSeen.add(target);
    draw(target);
  }), { rootMargin: "400px" });
  figures.forEach((figure) => { prepare(figure); resized.observe(figure); seen.observe(figure); });
  addEventListener("beforeprint", () => {
    all("details:not([open])").forEach((part) => { part.open = true; });
    figures.forEach((figure) => { isSeen.add(figure); draw(figure); });
  });

  // Changes: open what an address points to.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    const folded = target.closest("details");
    if (folded) folded.open = true;
    target.scrollIntoView({ block: "start" });
    target.focus({ preventScroll: true });
  };
  addEventListener("hashchange", reveal);
  if (location.hash) reveal();

  // A series of the table, large.
  const dialog = $("#series-dialog");
  const large = $("figure", dialog);
  const show = (place) => {
    const one = series[place];
    large.dataset.series = place;
    large.at = undefined;
    $("#series-title").textContent = one.cell;
    $("#series-about").textContent = one.title;
    $("#series-changes").replaceChildren(...one.marks.map(([since, , kind, label, anchor]) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = `#${anchor}`;
      link.textContent = `${label} since ${nights[one.machine][since][DAY]} (${WORDS[kind]})`;
      link.addEventListener("click", () => dialog.close());
      item.append(link);
      return item;
    }));
    dialog.showModal();
    isSeen.add(large);
    draw(large);
    if (large.shown) choose(large, undefined);
    $(".plot", large).focus();
  };
  all(".spark").forEach((button) => button.addEventListener("click", () => show(Number(button.dataset.series))));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  // Filter the table by words, or by whether a cell changed.
  const rows = all(".series tbody tr");
  const changed = $("#changed");
  const filter = () => {
    const words = $("#filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const only = changed.getAttribute("aria-pressed") === "true";
    rows.forEach((row) => {
      const name = $("th", row).textContent.toLowerCase();
      const isMoved = Boolean($("td:not(.calm):not(.none)", row));
      row.hidden = (only && !isMoved) || !words.every((word) => name.includes(word));
    });
    const left = rows.filter((row) => !row.hidden).length;
    $("#shown").textContent = left === rows.length ? "" : `${left} of ${rows.length} cells`;
  };
  $("#filter").addEventListener("input", filter);
  changed.addEventListener("click", () => {
    changed.setAttribute("aria-pressed", String(changed.getAttribute("aria-pressed") !== "true"));
    filter();
  });
  document.documentElement.dataset.trend = "ready";
})();
