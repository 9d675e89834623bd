// What is told beside the panes: worst borders, channels, measurements.
import { element } from "./pane.js";
import { lengthText } from "./frames.js";

export function fillPanel(app) {
  const panel = document.getElementById("panel");
  const sections = [measured(app), seams(app), channels(app)].filter(Boolean);
  panel.replaceChildren(...sections);
  panel.hidden = sections.length === 0;
}

function seams(app) {
  const pane = app.panes.find((one) => one.facts.seams?.borders.length);
  if (!pane) return null;
  const { borders, verdict } = pane.facts.seams;
  const list = element("ol", {}, ...borders.map((border, number) => {
    const button = element("button", { type: "button", textContent: `step ${border.step.toFixed(1)} at ${Math.round(border.x)}, ${Math.round(border.y)}` });
    button.dataset.border = number;
    button.setAttribute("aria-current", String(number === app.border));
    button.addEventListener("click", () => app.toBorder(number));
    return element("li", {}, button);
  }));
  return element("section", {}, element("h2", { textContent: "Worst borders" }),
    element("p", { textContent: `${pane.facts.name}${verdict ? `: seams ${verdict}` : ""}. Steps in grey levels; a click goes there.` }), list);
}

function channels(app) {
  const panes = app.panes.filter((pane) => pane.channels.length);
  if (!panes.length || app.site.static) return null;
  const section = element("section", {}, element("h2", { textContent: "Channels" }));
  for (const pane of panes) {
    const rows = pane.channels.map((channel) => {
      const change = (name, value) => { channel[name] = value; channel.changed = true; app.recolour(pane); };
      const shown = element("input", { type: "checkbox", checked: channel.shown });
      shown.addEventListener("change", () => change("shown", shown.checked));
      const colour = element("input", { type: "color", value: channel.colour });
      colour.setAttribute("aria-label", `Colour of ${channel.name}`);
      colour.addEventListener("change", () => change("colour", colour.value));
      const ends = ["low", "high"].map((name) => {
        const end = element("input", { type: "number", value: Number(channel[name].toPrecision(5)), step: "any" });
        end.setAttribute("aria-label", `${channel.name}: ${name === "low" ? "shown as black" : "shown brightest"}`);
        end.addEventListener("change", () => { if (Number.isFinite(end.valueAsNumber)) change(name, end.valueAsNumber); });
        return end;
      });
      return element("div", { className: "channel" }, element("label", {}, shown, " ", channel.name), colour, ...ends);
    });
    section.append(element("h3", { textContent: pane.facts.name }), ...rows);
  }
  return section;
}

function measured(app) {
  if (!app.measurements) return null;
  const section = element("section", { id: "measured" }, element("h2", { textContent: "Measured" }));
  const clear = element("button", { type: "button", textContent: "Clear" });
  clear.addEventListener("click", () => app.clearRegion());
  for (const { name, unit, per, result, error } of app.measurements) {
    section.append(element("h3", { textContent: name }));
    if (error) {
      section.append(element("p", { textContent: error }));
      continue;
    }
    const side = Math.sqrt(result.area) * per;
    const finer = result.downsample > 1 ? `, one in ${Number(result.downsample.toPrecision(3))} each way` : "";
    section.append(element("p", { textContent: `${result.pixels.toLocaleString("en")} px${finer}; as large as a square of ${lengthText(side, unit)}` }));
    const head = ["", "mean", "std", "least", "most"].map((text) => element("th", { scope: "col", textContent: text }));
    const rows = result.channels.map((channel) => element("tr", {},
      element("th", { scope: "row", textContent: channel.name }),
      ...[channel.mean, channel.std, channel.least, channel.largest].map((value) => element("td", { textContent: Number(value.toPrecision(4)) }))));
    section.append(
      element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)),
      histogram(result),
    );
  }
  section.append(clear);
  return section;
}

const COLOURS = { red: "#c62828", green: "#2e7d32", blue: "#1565c0" };

function histogram({ channels: found, low, high }) {
  const [width, height] = [256, 64];
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `Histogram from ${low} to ${high} of ${found.map((one) => one.name).join(", ")}`);
  const top = Math.max(...found.flatMap((one) => one.histogram), 1);
  found.forEach((channel, number) => {
    const step = width / channel.histogram.length;
    const points = channel.histogram.map((count, i) => `${(i + 0.5) * step},${height - (count / top) * (height - 3) - 1}`);
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    line.setAttribute("points", points.join(" "));
    line.setAttribute("fill", "none");
    line.setAttribute("stroke", COLOURS[channel.name] ?? `hsl(${(number * 67) % 360} 70% 45%)`);
    line.setAttribute("stroke-width", "1.5");
    svg.append(line);
  });
  return svg;
}
