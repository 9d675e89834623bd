// The page: which images are shown, how, and where all panes look.
import { read, written } from "./address.js";
import { back, lengthText } from "./frames.js";
import { listen } from "./keys.js";
import { List } from "./list.js";
import { drawMarks } from "./marks.js";
import { Pane, element } from "./pane.js";
import { fillPanel } from "./panel.js";

const MOST_PANES = 6;
const REFRESH = 3000; // ms between looks at folders and unfinished results
const byId = (id) => document.getElementById(id);

async function ask(address) {
  const response = await fetch(address, { cache: "no-store" });
  const found = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(found.error ?? `${address}: ${response.status}`);
  return found;
}

class App {
  panes = [];
  active = null; // the pane that the others follow
  mode = "panes";
  share = 50;
  linked = true;
  profiled = false;
  overlays = new Set(["navigator"]);
  annotations = [];
  border = null;
  region = null; // corners in the plane
  measurements = null;
  drawing = false;
  cursor = null;
  wanted = null; // a place that new panes go to

  async start() {
    this.site = await ask("site.json").catch((error) => {
      this.tell(error.message);
      return null;
    });
    if (!this.site) return;
    if (this.site.annotations) {
      this.annotations = (await ask("annotations.json").catch(() => ({ annotations: [] }))).annotations;
      this.overlays.add("annotations");
    }
    this.list = new List(this);
    this.list.take(this.site.items);
    byId("list-open").hidden = this.site.items.length < 2;
    byId("measure").hidden = this.site.static;
    byId("lossless").closest("label").hidden = this.site.static;
    this.wire();
    await this.restore();
    window.addEventListener("hashchange", () => this.restore());
    if (!this.site.static) setInterval(() => this.refresh(), REFRESH);
    document.body.dataset.ready = "yes";
  }

  // ---- Which images

  async restore() {
    const state = read(location.hash);
    const known = new Set(this.site.items.map((item) => item.id));
    let ids = state.panes.filter((id) => known.has(id));
    if (!ids.length) ids = this.site.open;
    if (!ids.length && this.site.items.length <= MOST_PANES) ids = this.site.items.map((item) => item.id);
    if (state.overlays) this.overlays = new Set(state.overlays);
    this.linked = state.linked;
    this.profiled = state.profiled && !this.site.static;
    if (state.share !== null) this.share = state.share;
    this.wanted = state.place;
    const shown = this.panes.map((pane) => pane.facts.id);
    if (shown.join() !== ids.join()) {
      for (const pane of [...this.panes]) this.remove(pane);
      for (const id of ids.slice(0, MOST_PANES)) await this.add(id);
    }
    if (!this.panes.length) this.setList(true);
    this.setMode(this.panes.length > 1 ? state.mode : "panes", state.two);
    if (state.place) this.goAll(state.place);
    this.sync();
  }

  async add(id) {
    if (this.panes.length >= MOST_PANES) {
      this.tell(`${MOST_PANES} panes are the most; close one first.`);
      return;
    }
    let facts;
    try {
      facts = await ask(`images/${id}.json`);
    } catch (error) {
      this.tell(error.message);
      return;
    }
    const pane = new Pane(facts, this);
    pane.lossless = byId("lossless").checked;
    pane.profiled = this.profiled;
    this.panes.push(pane);
    byId("stage").append(pane.element);
    this.arrange();
    pane.start();
    this.watch(pane);
    this.active ??= pane;
  }

  remove(pane) {
    this.panes = this.panes.filter((one) => one !== pane);
    pane.stop();
    if (this.active === pane) this.active = this.panes[0] ?? null;
  }

  close(pane) {
    this.remove(pane);
    if (this.panes.length < 2) this.mode = "panes";
    this.arrange();
    this.sync();
  }

  async toggle(id) {
    const shown = this.panes.find((pane) => pane.facts.id === id);
    if (shown) {
      this.close(shown);
      return;
    }
    if (this.active?.opened) this.wanted = this.active.place();
    await this.add(id);
    this.sync();
  }

  first() {
    // Annotations lie on the first image that was named.
    const [id] = this.site.open;
    return this.panes.find((pane) => pane.facts.id === id) ?? null;
  }

  async refresh() {
    if (document.hidden || this.refreshing) return;
    const unfinished = this.panes.filter((pane) => pane.facts.done !== undefined || pane.gone);
    if (!this.site.folders && !unfinished.length) return;
    this.refreshing = true;
    try {
      this.site = await ask("site.json");
      this.list.take(this.site.items);
      byId("list-open").hidden = this.site.items.length < 2;
      for (const pane of unfinished) await this.renew(pane);
    } catch (error) {
      this.tell("the server does not answer; start uhrt view again.");
    } finally {
      this.refreshing = false;
    }
  }

  async renew(pane) {
    try {
      const facts = await ask(`images/${pane.facts.id}.json`);
      const changed = facts.version !== pane.facts.version || pane.gone;
      pane.gone = false;
      pane.warn(null);
      if (!changed) return;
      pane.take(facts);
      pane.reload();
      this.sync();
    } catch (error) {
      pane.warn(error.message);
      pane.gone = true;
    }
  }

  async failed(pane) {
    if (pane.asking || this.site.static) return;
    pane.asking = true;
    await this.renew(pane);
    setTimeout(() => { pane.asking = false; }, REFRESH);
  }

  // ---- Where panes look

  followers(pane) {
    return this.linked ? this.panes.filter((one) => one !== pane && one.opened) : [];
  }

  lead(pane) {
    if (this.active === pane) return;
    this.active = pane;
    for (const one of this.panes) one.element.classList.toggle("active", one === pane);
  }

  opened(pane) {
    const leader = this.active !== pane && this.active?.opened ? this.active : null;
    const at = this.wanted ?? (leader && this.linked ? leader.place() : null);
    pane.go(at ?? pane.whole());
    this.redraw();
    this.remember();
  }

  moved(pane) {
    if (pane !== this.active || !pane.opened || !pane.facts) return;
    this.wanted = null;
    const place = pane.place();
    for (const one of this.followers(pane)) one.go(place);
    this.remember();
  }

  resized(pane) {
    if (pane.opened) requestAnimationFrame(() => this.moved(this.active));
  }

  drawn(pane) {
    drawMarks(pane, this);
    if (pane === this.active) {
      const { unit } = pane.facts;
      const place = pane.place();
      byId("zoom").textContent = `${lengthText(1 / place.scale, unit)} per screen px, turned ${Number(place.rotation.toFixed(1))}°`;
    }
  }

  redraw = () => { for (const pane of this.panes) if (pane.opened) pane.drawn(); };

  goAll(place, gliding = false) {
    this.wanted = place;
    for (const pane of this.panes) {
      if (pane === this.active || this.linked) pane.go(place, gliding && pane === this.active);
    }
    this.remember();
  }

  change(make) {
    if (this.active?.opened) this.goAll(make(this.active.place()));
  }

  zoom(factor) {
    this.change((place) => ({ ...place, scale: place.scale * factor }));
  }

  shift(event) {
    const far = event.shiftKey ? 400 : 80;
    const [dx, dy] = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] }[event.key];
    this.change((place) => {
      const angle = (-place.rotation * Math.PI) / 180;
      const [x, y] = [dx * Math.cos(angle) - dy * Math.sin(angle), dx * Math.sin(angle) + dy * Math.cos(angle)];
      return { ...place, x: place.x + x / place.scale, y: place.y + y / place.scale };
    });
  }

  fit() {
    if (this.active?.opened) this.goAll(this.active.whole(this.active.place().rotation));
  }

  one() {
    this.change((place) => {
      const look = this.active.look();
      return { ...place, scale: 1 / this.active.near(look.x, look.y).scale };
    });
  }

  turn(degrees) {
    this.change((place) => ({ ...place, rotation: degrees === null ? 0 : place.rotation + degrees }));
  }

  // Another image below or above, of two over each other.
  other(which) {
    if (this.mode === "panes") return;
    const select = byId(which);
    select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
    if (byId("below").value === byId("above").value) select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
    this.arrange();
    this.remember();
  }

  // What a pointer in the middle of the pane would be told.
  middle() {
    const pane = this.active;
    if (!pane?.opened) return;
    const { x, y } = pane.look();
    const box = pane.seen.getBoundingClientRect();
    this.point(pane, [x, y], { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 });
  }

  next() {
    const number = this.panes.indexOf(this.active);
    this.panes[(number + 1) % this.panes.length]?.viewer.canvas.focus();
  }

  // ---- How two are laid over each other

  pair() {
    const named = (id) => this.panes.find((pane) => pane.facts.id === byId(id).value);
    return [named("below") ?? this.panes[0], named("above") ?? this.panes[1]];
  }

  setMode(mode, two = null) {
    if (mode !== "panes" && this.panes.length < 2) {
      this.tell("two images are needed; open another from the list.");
      mode = "panes";
    }
    if (this.mode !== mode && two === null && ["opacity", "curtain"].includes(mode)) this.share = 50;
    if (this.mode !== mode && two === null && mode === "difference") this.share = 20;
    this.mode = mode;
    this.flipped = false;
    this.arrange(two);
    this.sync();
  }

  flicker() {
    if (this.mode !== "flicker") this.setMode("flicker");
    else this.flipped = !this.flipped;
    this.style();
  }

  swap() {
    const [below, above] = this.pair();
    if (!above) return;
    byId("below").value = above.facts.id;
    byId("above").value = below.facts.id;
    this.arrange();
    this.remember();
  }

  setShare(share) {
    this.share = Math.min(Math.max(share, 0), 100);
    byId("share").value = this.share;
    this.style();
    this.remember();
  }

  arrange(two = null) {
    const stage = byId("stage");
    const ids = this.panes.map((pane) => pane.facts.id);
    const chosen = [byId("below").value, byId("above").value];
    ["below", "above"].forEach((id, number) => {
      byId(id).replaceChildren(...this.panes.map((pane) => new Option(pane.facts.name, pane.facts.id)));
      const wanted = two?.[number] ?? chosen[number];
      byId(id).value = ids.includes(wanted) ? wanted : ids[Math.min(number, ids.length - 1)] ?? "";
    });
    if (this.panes.length > 1 && byId("below").value === byId("above").value) {
      byId("above").value = ids.find((id) => id !== byId("below").value);
    }
    const over = this.mode !== "panes";
    stage.dataset.mode = this.mode;
    stage.dataset.count = this.panes.length;
    byId("two").hidden = !over;
    byId("two").dataset.mode = this.mode;
    const [below, above] = this.pair();
    for (const pane of this.panes) {
      pane.element.hidden = over && pane !== below && pane !== above;
      pane.element.classList.toggle("below", over && pane === below);
      pane.element.classList.toggle("above", over && pane === above);
    }
    if (over && this.active !== below) {
      const place = this.active?.opened ? this.active.place() : null;
      this.lead(below);
      if (place) this.wanted = place;
    }
    const place = this.wanted ?? (this.active?.opened ? this.active.place() : null);
    this.style();
    // Viewers notice their new size with the next frame; where they look stays.
    if (place) requestAnimationFrame(() => requestAnimationFrame(() => this.goAll(place)));
  }

  style() {
    for (const pane of this.panes) {
      Object.assign(pane.seen.style, { opacity: "", clipPath: "", visibility: "" });
      pane.element.style.mixBlendMode = "";
    }
    byId("stage").style.setProperty("--share", this.share / 100);
    byId("share").value = this.share;
    byId("share-name").textContent = { curtain: "divider", opacity: "opacity", difference: "strength", flicker: "" }[this.mode] ?? "";
    byId("share-label").hidden = this.mode === "flicker";
    const [below, above] = this.pair();
    byId("stage").style.filter = "";
    if (this.mode === "panes" || !above) return;
    if (this.mode === "curtain") above.seen.style.clipPath = `inset(0 0 0 ${this.share}%)`;
    if (this.mode === "opacity") above.seen.style.opacity = this.share / 100;
    if (this.mode === "flicker") above.seen.style.visibility = this.flipped ? "hidden" : "";
    if (this.mode === "difference") {
      above.element.style.mixBlendMode = "difference";
      // From once to about thirty times.
      byId("stage").style.filter = `brightness(${(1.035 ** this.share).toFixed(3)})`;
    }
    byId("stage").dataset.front = (this.mode === "flicker" && this.flipped ? below : above).facts.name;
  }

  // ---- Overlays, seams, measurements

  press(name) {
    const box = document.querySelector(`#overlays input[value="${name}"]`) ?? byId(name);
    if (box.closest("[hidden]")) return;
    box.checked = !box.checked;
    box.dispatchEvent(new Event("change"));
  }

  nextBorder(step) {
    const pane = this.panes.find((one) => one.facts.seams?.borders.length);
    if (!pane) {
      this.tell("no borders were measured; name the JSON of uhrt evaluate -o, too.");
      return;
    }
    const count = pane.facts.seams.borders.length;
    this.toBorder(this.border === null ? (step > 0 ? 0 : count - 1) : (this.border + step + count) % count);
  }

  toBorder(number) {
    const pane = this.panes.find((one) => one.facts.seams?.borders.length);
    const border = pane.facts.seams.borders[number];
    this.border = number;
    this.overlays.add("borders");
    const [x, y] = pane.frame.toPlane(border.x, border.y);
    const scale = 2 / pane.near(border.x, border.y).scale;
    const at = this.active.place();
    this.goAll({ x, y, scale, rotation: at.rotation });
    this.sync();
    this.tell(`border ${number + 1}: a step of ${border.step.toFixed(1)} grey levels`);
  }

  setDrawing(drawing) {
    if (this.site.static) return;
    this.drawing = drawing;
    byId("draw").setAttribute("aria-pressed", String(drawing));
    byId("stage").classList.toggle("drawing", drawing);
    for (const pane of this.panes) pane.viewer.setMouseNavEnabled(!drawing);
    if (drawing) this.tell("draw around the region with the pointer; Esc ends this.");
  }

  watch(pane) {
    const frame = pane.canvas.parentElement;
    const at = (event) => {
      const box = frame.getBoundingClientRect();
      return back(pane.matrix(), event.clientX - box.left, event.clientY - box.top);
    };
    frame.addEventListener("pointermove", (event) => {
      if (!pane.opened) return;
      if (this.tracing?.pane === pane) {
        this.region.push(pane.frame.toPlane(...at(event)));
        this.redraw();
        return;
      }
      if (event.pointerType === "touch" && event.buttons) return;
      this.point(pane, at(event), event);
    });
    frame.addEventListener("pointerleave", () => {
      this.cursor = null;
      this.redraw();
    });
    const share = (event) => {
      const box = frame.getBoundingClientRect();
      return ((event.clientX - box.left) / box.width) * 100;
    };
    // The curtain's edge is taken before the viewer below hears of it.
    frame.addEventListener("pointerdown", (event) => {
      if (this.mode !== "curtain" || Math.abs(share(event) - this.share) * frame.clientWidth > 1400) return;
      event.stopPropagation();
      event.preventDefault();
      frame.setPointerCapture(event.pointerId);
      this.dividing = true;
    }, { capture: true });
    frame.addEventListener("pointermove", (event) => {
      if (!this.dividing) return;
      event.stopPropagation();
      this.setShare(share(event));
    }, { capture: true });
    for (const name of ["pointerup", "pointercancel"]) {
      frame.addEventListener(name, () => { this.dividing = false; });
    }
    frame.addEventListener("pointerdown", (event) => {
      if (!this.drawing || event.button !== 0) return;
      event.preventDefault();
      frame.setPointerCapture(event.pointerId);
      this.tracing = { pane };
      this.region = [pane.frame.toPlane(...at(event))];
    });
    for (const name of ["pointerup", "pointercancel"]) {
      frame.addEventListener(name, () => {
        if (!this.tracing) return;
        this.tracing = null;
        this.setDrawing(false);
        this.measure();
      });
    }
  }

  point(pane, [x, y], event) {
    const { width, height, mpp, unit } = pane.facts;
    this.cursor = { pane, at: pane.frame.toPlane(x, y) };
    const inside = x >= 0 && y >= 0 && x < width && y < height;
    const um = mpp ? ` = ${(x * mpp[0]).toFixed(1)}, ${(y * mpp[1]).toFixed(1)} µm` : "";
    const where = `${pane.facts.name}: ${Math.floor(x)}, ${Math.floor(y)} px${um}`;
    const plane = pane.frame.straight && !um ? "" : ` (plane ${this.cursor.at.map((value) => value.toFixed(1)).join(", ")} ${unit === "um" ? "µm" : unit})`;
    const cursor = byId("cursor");
    cursor.textContent = inside ? `${where}${um ? "" : plane}${this.seenColour(pane, event)}` : "\u00a0";
    cursor.dataset.px = `${Math.floor(x)} ${Math.floor(y)}`;
    clearTimeout(this.colouring);
    if (inside && !this.site.static) {
      this.colouring = setTimeout(async () => {
        const found = await ask(`images/${pane.facts.id}.pixel.json?x=${Math.floor(x)}&y=${Math.floor(y)}`).catch(() => null);
        if (!found || this.cursor?.pane !== pane) return;
        const names = pane.channels.length ? pane.channels.map((channel) => `${channel.name} `) : ["", "", ""];
        const values = found.values.map((value, i) => `${names[i]}${Number(value.toPrecision(5))}`);
        cursor.textContent = `${where}  ${pane.channels.length ? "" : "RGB "}${values.join(", ")}`;
        cursor.dataset.values = found.values.join(" ");
      }, 80);
    }
    this.redraw();
  }

  seenColour(pane, event) {
    if (!this.site.static) return "";
    const canvas = pane.viewer.drawer.canvas;
    const box = canvas.getBoundingClientRect();
    const ratio = canvas.width / box.width;
    this.dot ??= element("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
    this.dot.drawImage(canvas, (event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio, 1, 1, 0, 0, 1, 1);
    const [red, green, blue] = this.dot.getImageData(0, 0, 1, 1).data;
    return `  RGB ${red}, ${green}, ${blue}`;
  }

  measureSeen() {
    const pane = this.active;
    if (!pane?.opened || this.site.static) return;
    const { width, height } = pane.look();
    const matrix = pane.matrix();
    this.region = [[0, 0], [width, 0], [width, height], [0, height]].map(([x, y]) => pane.frame.toPlane(...back(matrix, x, y)));
    this.measure();
  }

  async measure() {
    if (!this.region || this.region.length < 3) {
      this.clearRegion();
      return;
    }
    const step = Math.ceil(this.region.length / 150);
    this.region = this.region.filter((_, i) => i % step === 0);
    const region = this.region;
    const shown = this.panes.filter((pane) => pane.opened && !pane.element.hidden);
    this.measurements = await Promise.all(shown.map(async (pane) => {
      const { id, name, unit } = pane.facts;
      const corners = region.flatMap((point) => pane.frame.fromPlane(...point).map((value) => Number(value.toFixed(1))));
      const per = pane.near(...pane.frame.fromPlane(...region[0])).scale;
      try {
        return { name, unit, per, result: await ask(`images/${id}.region.json?p=${corners.join(",")}`) };
      } catch (error) {
        return { name, unit, per, error: error.message };
      }
    }));
    fillPanel(this);
    this.redraw();
  }

  clearRegion() {
    this.region = null;
    this.measurements = null;
    fillPanel(this);
    this.redraw();
  }

  recolour(pane) {
    pane.reload();
  }

  // ---- The page around

  tell(sentence) {
    byId("told").textContent = sentence;
  }

  help() {
    byId("help").showModal();
  }

  setList(open) {
    byId("list").hidden = !open;
    byId("list-open").setAttribute("aria-expanded", String(open));
  }

  toggleList() {
    if (byId("list-open").hidden) return;
    this.setList(byId("list").hidden);
    if (!byId("list").hidden) byId("search").focus();
  }

  escape() {
    if (this.drawing) this.setDrawing(false);
    else if (this.region) this.clearRegion();
    else if (!byId("list").hidden && this.panes.length) this.setList(false);
    this.active?.viewer.canvas.focus();
  }

  wire() {
    const acts = { in: () => this.zoom(1.5), out: () => this.zoom(1 / 1.5), fit: () => this.fit(), one: () => this.one(), left: () => this.turn(-15), right: () => this.turn(15) };
    for (const button of document.querySelectorAll("button[data-do]")) {
      button.addEventListener("click", () => acts[button.dataset.do]());
    }
    for (const radio of document.querySelectorAll("input[name=mode]")) {
      radio.addEventListener("change", () => this.setMode(radio.value));
    }
    for (const box of document.querySelectorAll("#overlays input")) {
      box.addEventListener("change", () => {
        if (box.checked) this.overlays.add(box.value); else this.overlays.delete(box.value);
        this.sync();
      });
    }
    for (const id of ["below", "above"]) byId(id).addEventListener("change", () => { this.arrange(); this.remember(); });
    byId("swap").addEventListener("click", () => this.swap());
    byId("share").addEventListener("input", (event) => this.setShare(Number(event.target.value)));
    byId("linked").addEventListener("change", (event) => {
      this.linked = event.target.checked;
      if (this.linked && this.active?.opened) this.goAll(this.active.place());
      this.sync();
    });
    byId("lossless").addEventListener("change", (event) => {
      for (const pane of this.panes) {
        pane.lossless = event.target.checked;
        pane.reload();
      }
    });
    byId("profiles").addEventListener("change", (event) => {
      this.profiled = event.target.checked;
      for (const pane of this.panes) {
        pane.profiled = this.profiled;
        if (pane.facts.profile) pane.reload();
      }
      this.remember();
    });
    byId("draw").addEventListener("click", () => this.setDrawing(!this.drawing));
    byId("seen").addEventListener("click", () => this.measureSeen());
    byId("list-open").addEventListener("click", () => this.toggleList());
    byId("help-open").addEventListener("click", () => this.help());
    listen(this);
  }

  // Controls as the state is, and what depends on it.
  sync() {
    document.querySelector(`input[name=mode][value=${this.mode}]`).checked = true;
    for (const box of document.querySelectorAll("#overlays input")) box.checked = this.overlays.has(box.value);
    byId("linked").checked = this.linked;
    byId("profiles").checked = this.profiled;
    byId("profiles").closest("label").hidden = this.site.static || !this.panes.some((pane) => pane.facts.profile);
    for (const pane of this.panes) {
      pane.linked = this.linked;
      pane.element.classList.toggle("active", pane === this.active);
      const navigator = pane.viewer?.navigator?.element;
      if (navigator) navigator.hidden = !this.overlays.has("navigator");
    }
    const names = this.panes.map((pane) => pane.facts.name);
    document.title = names.length ? `${names.join(", ")} – uhrt view` : "uhrt view";
    this.list.mark();
    fillPanel(this);
    this.redraw();
    this.remember();
  }

  remember() {
    clearTimeout(this.remembering);
    this.remembering = setTimeout(() => {
      const state = {
        place: this.wanted ?? (this.active?.opened ? this.active.place() : null),
        panes: this.panes.map((pane) => pane.facts.id),
        two: this.panes.length > 1 ? this.pair().map((pane) => pane.facts.id) : [],
        mode: this.mode, share: this.share, linked: this.linked, profiled: this.profiled, overlays: [...this.overlays],
      };
      if (state.panes.length) history.replaceState(null, "", written(state));
    }, 150);
  }
}

const app = new App();
app.start();
