// What is drawn over panes: grids, tissue, seams, borders, annotations, a region, the cursor.
import { back, through } from "./frames.js";

const LEAST = 7; // css px between lines of a grid that can still be told apart
const AGAIN = 2000; // ms until something that is being made is asked for again
const pictures = new Map();

// A picture of the server, once it is there; draws again then. While the server makes it, it is asked
// for again, and `pane` says so.
function picture(url, pane, again) {
  if (!pictures.has(url)) {
    const image = new Image();
    pictures.set(url, image);
    image.addEventListener("load", () => { pane.making = ""; again(); });
    image.addEventListener("error", () => { pane.making = ""; });
    const ask = async () => {
      // Static pages are files, which any server gives at once.
      const response = await fetch(url).catch(() => null);
      if (response?.status !== 202) { image.src = url; return; }
      pane.making = " finding tissue";
      again();
      setTimeout(ask, AGAIN);
    };
    ask();
  }
  const image = pictures.get(url);
  return image.complete && image.naturalWidth ? image : null;
}

// Whose grid or borders a pane shows: its own, or those of the first pane that has some.
const having = (pane, panes, has) => [pane, ...panes].find((one) => has(one.facts));

export function drawMarks(pane, app) {
  const { canvas } = pane;
  const look = pane.look();
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(look.width * ratio), Math.round(look.height * ratio)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, look.width, look.height);
  const matrix = pane.matrix();
  // From px of any image to this pane's screen, through the plane.
  const screen = (other) => (x, y) => (other === pane
    ? through(matrix, x, y)
    : through(matrix, ...pane.frame.fromPlane(...other.frame.toPlane(x, y))));
  const drawn = [];
  const show = (name, done) => { if (done) drawn.push(name); };
  const on = app.overlays;
  const { facts } = pane;
  if (on.has("tissue") && facts.tissue && facts.done === undefined) {
    show("tissue", stretched(context, ratio, matrix, `images/${facts.id}.tissue.png?v=${facts.version}`, [0, 0, facts.width, facts.height], pane, app.redraw));
  }
  if (on.has("heat") && facts.seams?.heat) {
    const { x, y, w: across, h: down } = facts.seams.heat;
    show("heat", stretched(context, ratio, matrix, `images/${facts.id}.heat.png?v=${facts.version}`, [x, y, across, down], pane, app.redraw));
  }
  for (const [name, colour] of [["tiles", "rgba(20,110,220,.75)"], ["cells", "rgba(220,40,40,.8)"]]) {
    const owner = on.has(name) && having(pane, app.panes, (one) => one.grids[name]);
    if (owner) show(name, grid(context, look, owner.facts.grids[name].step, screen(owner), colour, pane, owner));
  }
  const owner = on.has("borders") && having(pane, app.panes, (one) => one.seams?.borders.length);
  if (owner) show("borders", borders(context, owner.facts.seams.borders, screen(owner), app.border));
  if (on.has("annotations") && app.annotations.length && app.panes.length) {
    const first = app.first();
    if (first) show("annotations", annotations(context, look, app.annotations, screen(first)));
  }
  if (app.region) show("region", region(context, app.region, pane, matrix));
  if (app.cursor && app.cursor.pane !== pane && pane.linked) {
    const [x, y] = through(matrix, ...pane.frame.fromPlane(...app.cursor.at));
    cross(context, x, y);
  }
  const overview = pane.viewer.navigator?.element;
  if (overview && !overview.hidden) {
    context.clearRect(look.width - overview.offsetWidth, 0, overview.offsetWidth, overview.offsetHeight);
  }
  canvas.dataset.drawn = drawn.join(" ");
}

function stretched(context, ratio, matrix, url, [x, y, w, h], pane, again) {
  const image = picture(url, pane, again);
  if (!image) return false;
  context.save();
  context.transform(...matrix);
  context.imageSmoothingEnabled = false;
  context.drawImage(image, x, y, w, h);
  context.restore();
  return true;
}

function grid(context, look, [across, down], at, colour, pane, owner) {
  const { facts } = owner;
  // The corners of the screen in px of the owner's image.
  const matrix = pane.matrix();
  const corners = [[0, 0], [look.width, 0], [0, look.height], [look.width, look.height]].map(([x, y]) => {
    const own = back(matrix, x, y);
    return owner === pane ? own : owner.frame.fromPlane(...pane.frame.toPlane(...own));
  });
  const range = (axis, size) => [
    Math.max(Math.min(...corners.map((corner) => corner[axis])), 0),
    Math.min(Math.max(...corners.map((corner) => corner[axis])), size),
  ];
  const [left, right] = range(0, facts.width);
  const [top, bottom] = range(1, facts.height);
  if (left >= right || top >= bottom) return false;
  const [x0, y0] = at(left, top);
  const [x1, y1] = at(left + across, top);
  if (Math.hypot(x1 - x0, y1 - y0) < LEAST) return false;
  const pieces = owner.frame.straight && pane.frame.straight ? 1 : 16;
  context.beginPath();
  const line = (from, to) => {
    for (let piece = 0; piece <= pieces; piece += 1) {
      const share = piece / pieces;
      const [x, y] = at(from[0] + (to[0] - from[0]) * share, from[1] + (to[1] - from[1]) * share);
      if (piece) context.lineTo(x, y); else context.moveTo(x, y);
    }
  };
  for (let x = Math.ceil(left / across) * across; x <= right; x += across) line([x, top], [x, bottom]);
  for (let y = Math.ceil(top / down) * down; y <= bottom; y += down) line([left, y], [right, y]);
  context.strokeStyle = colour;
  context.lineWidth = 1.2;
  context.stroke();
  return true;
}

function borders(context, found, at, chosen) {
  context.font = "bold 12px sans-serif";
  found.forEach((border, number) => {
    const half = border.length / 2;
    const [from, to] = border.axis === "x"
      ? [at(border.x, border.y - half), at(border.x, border.y + half)]
      : [at(border.x - half, border.y), at(border.x + half, border.y)];
    const [x, y] = at(border.x, border.y);
    context.lineWidth = number === chosen ? 5 : 3;
    for (const [colour, width] of [["#fff", context.lineWidth + 2], ["#e0007a", context.lineWidth]]) {
      context.beginPath();
      context.moveTo(...from);
      context.lineTo(...to);
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.stroke();
    }
    const text = String(number + 1);
    context.strokeStyle = "#fff";
    context.lineWidth = 3;
    context.strokeText(text, x + 6, y - 6);
    context.fillStyle = "#a00058";
    context.fillText(text, x + 6, y - 6);
  });
  return true;
}

function annotations(context, look, documents, at) {
  context.font = "12px sans-serif";
  for (const { shapes } of documents) {
    for (const { name, colour, closed, lines } of shapes) {
      context.beginPath();
      let seen = false;
      for (const line of lines) {
        for (let i = 0; i < line.length; i += 2) {
          const [x, y] = at(line[i], line[i + 1]);
          seen ||= x > -50 && y > -50 && x < look.width + 50 && y < look.height + 50;
          if (line.length === 2) { context.moveTo(x + 4, y); context.arc(x, y, 4, 0, 7); }
          else if (i) context.lineTo(x, y);
          else context.moveTo(x, y);
        }
        if (closed) context.closePath();
      }
      context.strokeStyle = colour;
      context.lineWidth = 2;
      context.stroke();
      if (name && seen && lines[0].length) {
        const [x, y] = at(lines[0][0], lines[0][1]);
        context.lineWidth = 3;
        context.strokeStyle = "#fff";
        context.strokeText(name, x + 4, y - 4);
        context.fillStyle = "#222";
        context.fillText(name, x + 4, y - 4);
      }
    }
  }
  return true;
}

function region(context, points, pane, matrix) {
  context.beginPath();
  points.forEach((point, i) => {
    const at = through(matrix, ...pane.frame.fromPlane(...point));
    if (i) context.lineTo(...at); else context.moveTo(...at);
  });
  context.closePath();
  context.fillStyle = "rgba(255,220,0,.15)";
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = "#c9a200";
  context.stroke();
  return true;
}

function cross(context, x, y) {
  for (const [colour, width] of [["#fff", 3], ["#000", 1]]) {
    context.beginPath();
    context.moveTo(x - 9, y); context.lineTo(x + 9, y);
    context.moveTo(x, y - 9); context.lineTo(x, y + 9);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  }
}
