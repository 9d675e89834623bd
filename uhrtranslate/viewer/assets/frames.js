// Where images lie: from their pixels to one plane (micrometres, or pixels), and back.

function lattice(grid) {
  const { x, y, dx, dy, columns, rows, points } = grid;
  return (px, py) => {
    // Beyond its ends a lattice goes on straight.
    const column = Math.min(Math.max(Math.floor((px - x) / dx), 0), columns - 2);
    const row = Math.min(Math.max(Math.floor((py - y) / dy), 0), rows - 2);
    const u = (px - x) / dx - column;
    const v = (py - y) / dy - row;
    const at = (r, c, axis) => points[2 * (r * columns + c) + axis];
    return [0, 1].map((axis) =>
      (1 - v) * ((1 - u) * at(row, column, axis) + u * at(row, column + 1, axis))
      + v * ((1 - u) * at(row + 1, column, axis) + u * at(row + 1, column + 1, axis)));
  };
}

// The frame of an image as the server tells it: toPlane and fromPlane take x, y and give [x, y].
export function frameOf(place) {
  if (!place.matrix) {
    return { toPlane: lattice(place.to), fromPlane: lattice(place.from), straight: false };
  }
  const [a, b, c, d, e, f] = place.matrix;
  const det = a * e - b * d;
  return {
    toPlane: (x, y) => [a * x + b * y + c, d * x + e * y + f],
    fromPlane: (x, y) => [(e * (x - c) - b * (y - f)) / det, (a * (y - f) - d * (x - c)) / det],
    straight: true,
  };
}

// How an image is scaled, turned and perhaps mirrored around one of its pixels.
export function similarity(frame, x, y, step) {
  const [x0, y0] = frame.toPlane(x - step, y);
  const [x1, y1] = frame.toPlane(x + step, y);
  const [x2, y2] = frame.toPlane(x, y - step);
  const [x3, y3] = frame.toPlane(x, y + step);
  const [a, c, b, d] = [x1 - x0, y1 - y0, x3 - x2, y3 - y2].map((value) => value / (2 * step));
  const det = a * d - b * c;
  const mirrored = det < 0;
  const angle = mirrored ? Math.atan2(-c - b, d - a) : Math.atan2(c - b, a + d);
  return { scale: Math.sqrt(Math.abs(det)) || 1, angle: (angle * 180) / Math.PI, mirrored };
}

// From pixels of a pane's image to its screen: css px = matrix * px, as canvas transforms have it.
export function screenMatrix({ x, y, k, rotation, mirrored, width, height }) {
  const turn = (rotation * Math.PI) / 180;
  const flip = mirrored ? -1 : 1;
  const [a, b] = [flip * k * Math.cos(turn), k * Math.sin(turn)];
  const [c, d] = [-flip * k * Math.sin(turn), k * Math.cos(turn)];
  return [a, b, c, d, width / 2 - a * x - c * y, height / 2 - b * x - d * y];
}

export const through = ([a, b, c, d, e, f], x, y) => [a * x + c * y + e, b * x + d * y + f];

export function back([a, b, c, d, e, f], x, y) {
  const det = a * d - b * c;
  return [(d * (x - e) - c * (y - f)) / det, (a * (y - f) - b * (x - e)) / det];
}

// A length that is easy to read and about as long as wanted.
export function roundLength(wanted) {
  const ten = 10 ** Math.floor(Math.log10(wanted));
  return [5, 2, 1].map((digit) => digit * ten).find((length) => length <= wanted) ?? ten;
}

export function lengthText(length, unit) {
  if (unit === "um" && length >= 1000) return `${Number((length / 1000).toPrecision(3))} mm`;
  return `${Number(length.toPrecision(3))} ${unit === "um" ? "µm" : unit}`;
}
