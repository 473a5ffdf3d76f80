// Shows what the mark nearest to the pointer says. Without a script the tables say the same.
"use strict";

const REACH = 40; // pixels between pointer and mark
const label = document.getElementById("label");
let pointed = null;

/** How far a point is from a box; where boxes overlap, their middles decide. */
function distance(box, x, y) {
  const aside = Math.max(box.left - x, 0, x - box.right);
  const above = Math.max(box.top - y, 0, y - box.bottom);
  const middle = Math.hypot(x - (box.left + box.right) / 2, y - (box.top + box.bottom) / 2);
  return Math.hypot(aside, above) + middle / 1000;
}

function nearest(figure, x, y) {
  let found = null;
  let least = REACH;
  for (const mark of figure.querySelectorAll("[data-label]")) {
    const away = distance(mark.getBoundingClientRect(), x, y);
    if (away <= least) { // of marks in one place the one drawn last, which is seen
      found = mark;
      least = away;
    }
  }
  return found;
}

function point(mark) {
  pointed?.classList.remove("pointed");
  pointed = mark;
  label.hidden = mark === null;
  if (mark === null) return;
  mark.classList.add("pointed");
  label.textContent = mark.dataset.label;
  place(mark.getBoundingClientRect());
}

/** Above the mark, within the window. */
function place(box) {
  const middle = (box.left + box.right - label.offsetWidth) / 2;
  const rightmost = document.documentElement.clientWidth - label.offsetWidth - 8;
  const above = box.top - label.offsetHeight - 8;
  label.style.left = `${Math.max(8, Math.min(middle, rightmost))}px`;
  label.style.top = `${above < 8 ? box.bottom + 8 : above}px`;
}

for (const figure of document.querySelectorAll("figure")) {
  const show = (event) => point(nearest(figure, event.clientX, event.clientY));
  figure.addEventListener("pointermove", show);
  figure.addEventListener("pointerdown", show);
  figure.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") point(null);
  });
}
document.addEventListener("scroll", () => point(null), { passive: true });
