// Everything by keyboard, and the list of it under `?`.
import { element } from "./pane.js";

export const KEYS = (app) => [
  [["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], "← → ↑ ↓", "move; with Shift farther", (event) => app.shift(event)],
  [["+", "="], "+", "zoom in", () => app.zoom(1.5)],
  [["-"], "−", "zoom out", () => app.zoom(1 / 1.5)],
  [["0"], "0", "show all", () => app.fit()],
  [["1"], "1", "one image pixel per screen pixel", () => app.one()],
  [["[", "]"], "[ ]", "turn by 15 degrees", (event) => app.turn(event.key === "[" ? -15 : 15)],
  [["\\"], "\\", "turn back upright", () => app.turn(null)],
  [["l"], "l", "link the panes, or let each go by itself", () => app.press("linked")],
  [["w"], "w", "from pane to pane", () => app.next()],
  [["p"], "p", "panes side by side", () => app.setMode("panes")],
  [["k"], "k", "curtain of two", () => app.setMode("curtain")],
  [["o"], "o", "opacity of two", () => app.setMode("opacity")],
  [["f"], "f", "flicker: each press shows the other of two", () => app.flicker()],
  [["d"], "d", "difference of two", () => app.setMode("difference")],
  [["x"], "x", "swap the two", () => app.swap()],
  [[",", "."], ", .", "move the curtain, change opacity or strength", (event) => app.setShare(app.share + (event.key === "," ? -2 : 2))],
  [["c"], "c", "grid of cells", () => app.press("cells")],
  [["t"], "t", "grid of tiles", () => app.press("tiles")],
  [["m"], "m", "tissue mask", () => app.press("tissue")],
  [["h"], "h", "heat map of seams", () => app.press("heat")],
  [["b", "B"], "b", "to the next of the worst borders; with Shift to the one before", (event) => app.nextBorder(event.key === "b" ? 1 : -1)],
  [["a"], "a", "annotations", () => app.press("annotations")],
  [["n"], "n", "overviews", () => app.press("navigator")],
  [["v"], "v", "draw a region to measure", () => app.setDrawing(!app.drawing)],
  [["s"], "s", "measure what is seen", () => app.measureSeen()],
  [["j"], "j", "tiles without JPEG", () => app.press("lossless")],
  [["i"], "i", "list of images, and its search", () => app.toggleList()],
  [["Delete"], "Delete", "close the pane", () => app.active && app.close(app.active)],
  [["Escape"], "Esc", "end drawing, close lists", () => app.escape()],
  [["?"], "?", "this list", () => app.help()],
];

export function listen(app) {
  const table = KEYS(app);
  document.querySelector("#help tbody").replaceChildren(...table.map(([, shown, does]) =>
    element("tr", {}, element("th", { scope: "row" }, element("kbd", { textContent: shown })), element("td", { textContent: does }))));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.getElementById("help").open) return;
    const { target } = event;
    const typing = target.matches("select, textarea, input:not([type=checkbox]):not([type=radio]):not([type=range])");
    const sliding = target.matches("input[type=range], input[type=radio]") && event.key.startsWith("Arrow");
    if (sliding || (typing && event.key !== "Escape")) return;
    const found = table.find(([keys]) => keys.includes(event.key));
    if (!found) return;
    event.preventDefault();
    found[3](event);
  });
}
