// The view in the page's address, so that it can be sent to a colleague who runs the same command.

const short = (value, digits) => Number(value.toPrecision(digits));

export function written(state) {
  const parts = new URLSearchParams();
  if (state.place) {
    const { x, y, scale, rotation } = state.place;
    parts.set("x", short(x, 8));
    parts.set("y", short(y, 8));
    parts.set("s", short(scale, 6));
    if (Math.abs(rotation) > 1e-6) parts.set("r", short(rotation, 6));
  }
  parts.set("p", state.panes.join("."));
  if (state.mode !== "panes") {
    parts.set("m", state.mode);
    parts.set("b", state.two.join("."));
    parts.set("d", short(state.share, 4));
  }
  parts.set("o", state.overlays.join("."));
  if (!state.linked) parts.set("u", "1");
  if (state.profiled) parts.set("q", "1");
  return `#${parts}`;
}

const number = (parts, name) => {
  const value = Number(parts.get(name));
  return parts.has(name) && Number.isFinite(value) ? value : null;
};

export function read(hash) {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const list = (name) => (parts.get(name) ?? "").split(".").filter((part) => /^[a-z0-9-]{1,80}$/.test(part));
  const [x, y, scale] = ["x", "y", "s"].map((name) => number(parts, name));
  const found = {
    panes: list("p"),
    two: list("b"),
    mode: ["curtain", "opacity", "flicker", "difference"].includes(parts.get("m")) ? parts.get("m") : "panes",
    share: number(parts, "d"),
    linked: parts.get("u") !== "1",
    profiled: parts.get("q") === "1",
    overlays: parts.has("o") ? list("o") : null,
    place: null,
  };
  if (x !== null && y !== null && scale > 0) {
    found.place = { x, y, scale, rotation: number(parts, "r") ?? 0 };
  }
  return found;
}
