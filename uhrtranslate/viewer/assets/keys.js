// Everything by keyboard, and the list of it under `?`.
import { element } from "./pane.js";

// Keys, how they are shown, what they do, and the control that does the same.
export const KEYS = (app) => [
  [["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], "← → ↑ ↓", "move; with Shift farther", (event) => app.shift(event)],
  [["+", "="], "+", "zoom in", () => app.zoom(1.5), "button[data-do=in]"],
  [["-"], "−", "zoom out", () => app.zoom(1 / 1.5), "button[data-do=out]"],
  [["0"], "0", "show all", () => app.fit(), "button[data-do=fit]"],
  [["1"], "1", "one image pixel per screen pixel", () => app.one(), "button[data-do=one]"],
  [["[", "]"], "[ ]", "turn by 15 degrees", (event) => app.turn(event.key === "[" ? -15 : 15), "button[data-do=left], button[data-do=right]"],
  [["\\"], "\\", "turn back upright", () => app.turn(null)],
  [["l"], "l", "link the panes, or let each go by itself", () => app.press("linked"), "#linked"],
  [["w"], "w", "from pane to pane", () => app.next()],
  [["p"], "p", "panes side by side", () => app.setMode("panes"), "input[value=panes]"],
  [["k"], "k", "curtain of two", () => app.setMode("curtain"), "input[value=curtain]"],
  [["o"], "o", "opacity of two", () => app.setMode("opacity"), "input[value=opacity]"],
  [["f"], "f", "flicker: each press shows the other of two", () => app.flicker(), "input[value=flicker]"],
  [["d"], "d", "difference of two", () => app.setMode("difference"), "input[value=difference]"],
  [["x"], "x", "swap the two", () => app.swap(), "#swap"],
  [["y", "Y"], "y", "another image above; with Shift below", (event) => app.other(event.key === "y" ? "above" : "below"), "#below, #above"],
  [[",", "."], ", .", "move the curtain, change opacity or strength", (event) => app.setShare(app.share + (event.key === "," ? -2 : 2)), "#share"],
  [["c"], "c", "grid of cells", () => app.press("cells"), "input[value=cells]"],
  [["t"], "t", "grid of tiles", () => app.press("tiles"), "input[value=tiles]"],
  [["m"], "m", "tissue mask", () => app.press("tissue"), "input[value=tissue]"],
  [["h"], "h", "heat map of seams", () => app.press("heat"), "input[value=heat]"],
  [["b", "B"], "b", "to the next of the worst borders; with Shift to the one before", (event) => app.nextBorder(event.key === "b" ? 1 : -1), "input[value=borders]"],
  [["a"], "a", "annotations", () => app.press("annotations"), "input[value=annotations]"],
  [["n"], "n", "overviews", () => app.press("navigator"), "input[value=navigator]"],
  [["v"], "v", "draw a region to measure", () => app.setDrawing(!app.drawing), "#draw"],
  [["s"], "s", "measure what is seen", () => app.measureSeen(), "#seen"],
  [["j"], "j", "tiles without JPEG", () => app.press("lossless"), "#lossless"],
  [["q"], "q", "colours by the scanner's profile, or as stored", () => app.press("profiles"), "#profiles"],
  [["e"], "e", "position and colour in the middle of the pane", () => app.middle()],
  [["i"], "i", "list of images, and its search", () => app.toggleList(), "#list-open"],
  [["Delete"], "Delete", "close the pane", () => app.active && app.close(app.active)],
  [["Escape"], "Esc", "end drawing, forget a region, close the list", () => app.escape()],
  [["?"], "?", "this list", () => app.help(), "#help-open"],
];

export function listen(app) {
  const table = KEYS(app);
  for (const [keys, , , , control] of table) {
    for (const one of control ? document.querySelectorAll(control) : []) one.setAttribute("aria-keyshortcuts", keys.join(" "));
  }
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
