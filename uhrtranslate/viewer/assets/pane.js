// One image in an OpenSeadragon viewer, with its caption and a canvas for overlays.
import { frameOf, lengthText, roundLength, screenMatrix, similarity } from "./frames.js";

const SETTINGS = {
  // Canvas, not WebGL: six panes with overviews are twelve contexts, near the 16 that browsers give;
  // what is drawn can be read back for the colour under the pointer; and with WebGL, OpenSeadragon 6.1
  // may show nothing of an image that was added until the view moves (its issue 2925).
  drawer: "canvas",
  showNavigationControl: false, // its buttons are pictures; ours are text
  keyboardNavEnabled: false, // our keys move all panes
  showNavigator: true,
  navigatorPosition: "TOP_RIGHT",
  navigatorSizeRatio: 0.16,
  navigatorAutoFade: false,
  animationTime: 0.4,
  springStiffness: 9,
  visibilityRatio: 0.1,
  minZoomImageRatio: 0.3,
  maxZoomPixelRatio: 40,
  imageSmoothingEnabled: true,
  immediateRender: true,
  blendTime: 0,
  preserveViewport: true,
  imageLoaderLimit: 6,
  // Of a slide without small levels, the server makes the first overview meanwhile.
  tileRetryMax: 600,
  tileRetryDelay: 2000,
  timeout: 120000,
  maxImageCacheCount: 400,
  gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
  gestureSettingsTouch: { pinchRotate: false },
};

// It warns of each tile that arrives after its pane was reloaded, which is no news.
const silent = () => {};
OpenSeadragon.console = { ...OpenSeadragon.console, log: silent, debug: silent, info: silent, warn: silent, error: (...said) => console.error(...said) };

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export class Pane {
  constructor(facts, events) {
    this.events = events;
    this.lossless = false;
    this.profiled = false; // colours by the scanner's profile
    this.linked = true;
    this.take(facts);
    this.progress = element("span", { className: "progress" });
    this.about = element("span", { className: "about" });
    const close = element("button", { type: "button", textContent: "×", title: "Close (Delete)" });
    close.setAttribute("aria-label", `Close ${facts.name}`);
    close.addEventListener("click", () => events.close(this));
    this.seen = element("div", { className: "seen" });
    this.canvas = element("canvas", { className: "marks" });
    this.canvas.setAttribute("aria-hidden", "true");
    this.bar = element("div", { className: "bar" }, element("span"));
    this.alert = element("p", { className: "alert", hidden: true });
    this.alert.setAttribute("role", "alert");
    this.element = element(
      "figure",
      { className: "pane" },
      element("figcaption", {}, element("b", { textContent: facts.name, title: facts.name }), this.about, this.progress, close),
      element("div", { className: "frame" }, this.seen, this.canvas, this.bar, this.alert),
    );
    this.element.dataset.id = facts.id;
  }

  // Called once the element is in the page, as OpenSeadragon measures it.
  start() {
    this.viewer = OpenSeadragon({ ...SETTINGS, element: this.seen, tileSources: [this.source()] });
    const canvas = this.viewer.canvas;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${this.facts.name}: arrows move, plus and minus zoom, question mark lists all keys`);
    canvas.addEventListener("focus", () => this.events.lead(this));
    for (const name of ["canvas-press", "canvas-scroll", "canvas-pinch", "navigator-click", "navigator-drag"]) {
      this.viewer.addHandler(name, () => this.events.lead(this));
    }
    this.viewer.addHandler("open", () => {
      this.opened = true;
      this.events.opened(this);
    });
    this.viewer.addHandler("viewport-change", () => this.events.moved(this));
    this.viewer.addHandler("resize", () => this.events.resized(this));
    this.viewer.addHandler("update-viewport", () => this.drawn());
    this.viewer.addHandler("tile-loaded", () => { this.began = true; });
    this.viewer.addHandler("tile-load-failed", () => this.events.failed(this));
    this.viewer.addHandler("open-failed", () => this.events.failed(this));
  }

  take(facts) {
    this.facts = facts;
    // Ranges change while an image is made; what somebody has chosen stays.
    const before = this.channels ?? [];
    this.channels = facts.channels.map((channel, i) => (before[i]?.changed ? before[i] : { ...channel, shown: before[i]?.shown ?? true }));
    this.frame = frameOf(facts.place);
  }

  source() {
    const { id, width, height, tile, last, version } = this.facts;
    const shown = this.channels
      .map(({ colour, low, high, shown: on }, number) => (on ? `${number}:${colour.slice(1)}:${low}:${high}` : null))
      .filter(Boolean);
    const query = `v=${version}${this.channels.length ? `&c=${encodeURIComponent(shown.join(",") || "0:000000:0:1")}` : ""}`;
    const profile = this.profiled && this.facts.profile ? "&icc=1" : "";
    const kind = this.lossless ? "png" : "jpg";
    return {
      width, height, tileSize: tile, tileOverlap: 0, minLevel: Math.min(8, last), maxLevel: last,
      getTileUrl: (level, x, y) => `images/${id}_files/${level}/${x}_${y}.${kind}?${query}${profile}`,
    };
  }

  reload() {
    this.viewer.open(this.source());
  }

  stop() {
    this.viewer?.destroy();
    this.element.remove();
  }

  warn(sentence) {
    this.alert.textContent = sentence ?? "";
    this.alert.hidden = !sentence;
  }

  // Where the viewer looks: centre in px of the image, css px per px, turned by degrees.
  look() {
    const { viewport } = this.viewer;
    const size = viewport.getContainerSize();
    const centre = viewport.getCenter(true);
    const { width } = this.facts;
    return {
      x: centre.x * width, y: centre.y * width,
      k: (size.x * viewport.getZoom(true)) / width,
      rotation: viewport.getRotation(true),
      mirrored: viewport.getFlip(),
      width: size.x, height: size.y,
    };
  }

  matrix() {
    return screenMatrix(this.look());
  }

  // The same in the plane: centre, css px per unit, degrees.
  place() {
    const look = this.look();
    const near = this.near(look.x, look.y);
    const [x, y] = this.frame.toPlane(look.x, look.y);
    const turned = (look.mirrored ? -look.rotation : look.rotation) - near.angle;
    return { x, y, scale: look.k / near.scale, rotation: turn(turned) };
  }

  near(x, y) {
    return similarity(this.frame, x, y, Math.max(this.facts.width, this.facts.height) / 256);
  }

  // Looks at a place in the plane, at once or gliding.
  go({ x, y, scale, rotation }, gliding = false) {
    if (!this.opened) return;
    const { viewport } = this.viewer;
    const [px, py] = this.frame.fromPlane(x, y);
    const near = this.near(px, py);
    const { width } = this.facts;
    const zoom = (scale * near.scale * width) / viewport.getContainerSize().x;
    const turned = rotation + near.angle;
    if (viewport.getFlip() !== near.mirrored) viewport.setFlip(near.mirrored);
    viewport.setRotation(near.mirrored ? -turned : turned, true);
    viewport.zoomTo(zoom, null, !gliding);
    viewport.panTo(new OpenSeadragon.Point(px / width, py / width), !gliding);
  }

  // The place that shows all of the image, turned as it is.
  whole(rotation = 0) {
    const { width, height } = this.facts;
    const near = this.near(width / 2, height / 2);
    const [x, y] = this.frame.toPlane(width / 2, height / 2);
    const size = this.viewer.viewport.getContainerSize();
    const turned = ((rotation + near.angle) * Math.PI) / 180;
    const [cos, sin] = [Math.abs(Math.cos(turned)), Math.abs(Math.sin(turned))];
    const k = Math.min(size.x / (width * cos + height * sin), size.y / (width * sin + height * cos));
    return { x, y, scale: (k / near.scale) * 0.98, rotation };
  }

  drawn() {
    if (!this.opened) return;
    const look = this.look();
    const place = this.place();
    this.element.dataset.place = [place.x, place.y, place.scale, place.rotation].map((value) => value.toFixed(5)).join(" ");
    this.viewer.drawer.setImageSmoothingEnabled(look.k < 1.5); // true pixels stay squares
    const { unit, mpp, power } = this.facts;
    const length = roundLength(120 / place.scale);
    this.bar.style.width = `${length * place.scale}px`;
    this.bar.firstChild.textContent = lengthText(length, unit);
    this.bar.dataset.length = length;
    const times = power ? power * look.k : mpp ? (10 / mpp[0]) * look.k : null;
    this.about.textContent = mpp
      ? ` ${Number(mpp[0].toPrecision(4))} µm/px, ${Number(times.toPrecision(3))}x`
      : ` mpp unknown, ${Number((look.k * 100).toPrecision(3))}%`;
    const waiting = this.facts.slow && !this.began ? " reading all of it once, as it has no small levels" : "";
    this.progress.textContent = this.facts.done === undefined ? waiting || this.making || "" : ` ${Math.round(this.facts.done * 100)}% done`;
    this.events.drawn(this);
  }
}

const turn = (degrees) => ((degrees % 360) + 540) % 360 - 180;
