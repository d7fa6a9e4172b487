"use strict";
(() => {
  const $ = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const content = JSON.parse($("#content").textContent);
  const pairs = content.pairs;
  const store = `harness-review:${content.page}`;
  const SMALL = 256, LARGEST = 7; // small images are shown with sharp pixels, up to seven times their size
  let state = null; // { rater, started, answers }: answers in the order of the pairs
  let shownAt = 0;
  let ready = false;
  let broken = new Set();

  // Answers live in the browser's storage, one entry for each rater.
  const read = (name) => {
    try { return JSON.parse(localStorage.getItem(name)); } catch { return null; }
  };
  const keep = (name, value) => {
    try {
      localStorage.setItem(name, JSON.stringify(value));
    } catch {
      $("#notice").textContent = "This browser does not save answers. Keep this page open until you have saved the file at the end.";
      $("#notice").hidden = false;
    }
  };
  const save = () => keep(`${store}:${state.rater.toLowerCase()}`, state);

  const open = (section) => {
    ["start", "compare", "done"].forEach((id) => { $(`#${id}`).hidden = id !== section; });
  };

  // Both images appear at once, when both are decoded: their order would otherwise be a hint.
  const show = async () => {
    const at = state.answers.length;
    if (at === pairs.length) return finish();
    open("compare");
    ready = false;
    broken = new Set();
    zoom(false);
    $(".pair").classList.add("loading");
    const images = all(".frame img");
    images.forEach((image, side) => { image.src = pairs[at].images[side]; });
    $("#prompt").textContent = pairs[at].prompt;
    $("#progress").textContent = `${at + 1} of ${pairs.length}`;
    $(".bar").setAttribute("aria-valuenow", at);
    $(".bar i").style.width = `${(100 * at) / pairs.length}%`;
    $("#undo").disabled = at === 0;
    all(".flag").forEach((flag) => flag.setAttribute("aria-pressed", "false"));
    all(".choices button").forEach((button) => { button.disabled = true; });
    await Promise.all(images.map((image) => image.decode().catch(() => {})));
    if (state.answers.length !== at) return;
    const side = Math.max(images[0].naturalWidth, images[0].naturalHeight);
    $(".pair").classList.toggle("small", side <= SMALL);
    $(".pair").style.setProperty("--most", side <= SMALL ? `${LARGEST * side}px` : "none");
    $(".pair").classList.remove("loading");
    all(".choices button").forEach((button) => { button.disabled = false; });
    shownAt = performance.now();
    ready = true;
    document.documentElement.dataset.pair = at;
  };

  const answer = (choice) => {
    if (!ready) return;
    const sides = ["left", "right"].filter((side) => broken.has(side));
    const ms = Math.round(performance.now() - shownAt);
    state.answers.push({ pair: pairs[state.answers.length].id, choice, broken: sides, ms });
    $("#said").textContent = `Answer ${state.answers.length} saved`;
    save();
    show();
  };
  const undo = () => {
    if (!state.answers.length) return;
    state.answers.pop();
    state.finished = "";
    save();
    show();
  };
  const flag = (side) => {
    if (!broken.delete(side)) broken.add(side);
    $(`.flag[data-side=${side}]`).setAttribute("aria-pressed", String(broken.has(side)));
  };

  // Zoom enlarges both images about the same point.
  let point = [50, 50];
  const isZoomed = () => $(".pair").classList.contains("zoomed");
  const scale = () => {
    const image = $(".frame img");
    const fitted = Math.min(image.clientWidth / image.naturalWidth, image.clientHeight / image.naturalHeight);
    return Math.max(3, 2 / fitted);
  };
  const draw = () => all(".frame img").forEach((image) => {
    image.style.transform = isZoomed() ? `scale(${scale()})` : "";
    image.style.transformOrigin = `${point[0]}% ${point[1]}%`;
  });
  const zoom = (on) => {
    $(".pair").classList.toggle("zoomed", on);
    $("#zoom").setAttribute("aria-pressed", String(on));
    draw();
  };
  const aim = (x, y) => {
    point = [x, y].map((value) => Math.min(100, Math.max(0, value)));
    draw();
  };
  const follow = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    aim((100 * (event.clientX - box.left)) / box.width, (100 * (event.clientY - box.top)) / box.height);
  };
  all(".frame").forEach((frame) => {
    frame.addEventListener("click", (event) => { follow(event); zoom(!isZoomed()); });
    frame.addEventListener("pointermove", (event) => { if (isZoomed()) follow(event); });
  });
  addEventListener("resize", draw);

  // The end: a file, or text for the clipboard.
  const finish = () => {
    open("done");
    if (!state.finished) state.finished = new Date().toISOString();
    save();
    $("#who").textContent = state.rater;
    $("#saved").textContent = "";
    document.documentElement.dataset.pair = pairs.length;
    $("#save").focus();
  };
  const checksum = (text) => { // FNV-1a, 64 bits: finds accidental edits
    let value = 0xcbf29ce484222325n;
    for (const byte of new TextEncoder().encode(text)) value = BigInt.asUintN(64, (value ^ BigInt(byte)) * 0x100000001b3n);
    return value.toString(16).padStart(16, "0");
  };
  const compose = () => {
    const { version, run, page } = content;
    const { rater, started, finished, answers } = state;
    const rows = answers.map((given) => `${given.pair},${given.choice},${given.broken.join("+")},${given.ms}`);
    const sum = checksum([version, run, page, rater, started, finished, ...rows].join("\n"));
    const whole = { kind: "harness review answers", version, run, page, rater, started, finished, answers, checksum: sum };
    return JSON.stringify(whole, null, 1);
  };
  $("#save").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([compose()], { type: "application/json" }));
    link.download = `answers-${content.page}-${state.rater.replace(/[^\p{L}\p{N}]+/gu, "-")}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    $("#saved").textContent = `Saved as ${link.download}.`;
  });
  $("#copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(compose());
      $("#saved").textContent = "Copied. Paste it into a message or a file that ends in .json.";
    } catch {
      $("#saved").textContent = "This browser does not allow copying. Use Save answers.";
    }
  });
  $("#other").addEventListener("click", () => { keep(store, ""); location.reload(); });

  $("#begin").addEventListener("submit", (event) => {
    event.preventDefault();
    const rater = $("#rater").value.trim().replace(/\s+/g, " ");
    if (!rater) return $("#rater").focus();
    begin(rater);
  });
  const begin = (rater) => {
    state = read(`${store}:${rater.toLowerCase()}`) || { rater, started: new Date().toISOString(), finished: "", answers: [] };
    keep(store, rater);
    show();
    $("#prompt").focus({ preventScroll: true });
  };

  all(".choices button").forEach((button) => button.addEventListener("click", () => answer(button.dataset.choice)));
  all(".flag").forEach((button) => button.addEventListener("click", () => flag(button.dataset.side)));
  $("#zoom").addEventListener("click", () => zoom(!isZoomed()));
  $("#undo").addEventListener("click", undo);
  $("#back").addEventListener("click", undo);
  const keys = {
    ArrowLeft: () => answer("left"), ArrowRight: () => answer("right"), ArrowDown: () => answer("tie"), "=": () => answer("tie"),
    1: () => flag("left"), 2: () => flag("right"), z: () => zoom(!isZoomed()), Escape: () => zoom(false), u: undo, Backspace: undo,
  };
  const moves = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] };
  addEventListener("keydown", (event) => {
    if ($("#compare").hidden || event.repeat && !event.shiftKey || event.ctrlKey || event.metaKey || event.altKey) return;
    const move = event.shiftKey && moves[event.key];
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (move ? !isZoomed() : !act) return;
    event.preventDefault();
    if (move) aim(point[0] + move[0], point[1] + move[1]);
    else act();
  });

  const last = read(store);
  if (last) {
    begin(last);
  } else {
    open("start");
    $("#rater").focus();
  }
})();
