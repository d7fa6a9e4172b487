"use strict";
(() => {
  // Drawings in pieces: the pointer, a finger or the arrow keys pick one, the line beneath reads it out.
  document.querySelectorAll(".explore").forEach((drawing) => {
    const pieces = [...drawing.querySelectorAll("i[title]")];
    const readout = drawing.parentElement.querySelector(".readout");
    const resting = readout.textContent;
    let at = -1;
    const pick = (index) => {
      if (at >= 0) pieces[at].classList.remove("on");
      at = index;
      if (at >= 0) pieces[at].classList.add("on");
      readout.classList.toggle("live", at >= 0);
      readout.textContent = at >= 0 ? pieces[at].dataset.text : resting;
    };
    pieces.forEach((piece) => { // the line beneath takes the place of the browser's own hint
      piece.dataset.text = piece.title;
      piece.removeAttribute("title");
    });
    const point = (event) => {
      const index = pieces.indexOf(event.target.closest("i"));
      if (index >= 0 && index !== at) pick(index);
    };
    drawing.addEventListener("pointermove", point);
    drawing.addEventListener("pointerdown", point);
    drawing.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse" && document.activeElement !== drawing) pick(-1);
    });
    drawing.addEventListener("blur", () => pick(-1));
    drawing.addEventListener("keydown", (event) => {
      const last = pieces.length - 1;
      const next = {
        ArrowRight: Math.min(at + 1, last), ArrowDown: Math.min(at + 1, last),
        ArrowLeft: Math.max(at - 1, 0), ArrowUp: Math.max(at - 1, 0), Home: 0, End: last, Escape: -1,
      }[event.key];
      if (next === undefined || last < 0) return;
      event.preventDefault();
      pick(next);
    });
  });
})();
