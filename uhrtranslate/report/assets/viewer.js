"use strict";
// Views of one place in several images, which move together; no library, no build step.
// `uhrt view` has OpenSeadragon, which is better at whole slides. A report is a single file without a
// server, and shows some pictures that are inside of it: tiles are of no use here, and the library
// would add 353 kB to every report.
(() => {
  const viewer = document.getElementById("viewer");
  if (!viewer) return;
  const byId = (id) => document.getElementById(id);
  const LARGEST = 32; // css px per px of a picture
  const scenes = [...viewer.querySelectorAll(".scene")].map((element) => ({
    note: element.dataset.note,
    scale: Number(element.dataset.scale),
    images: [...element.querySelectorAll("img")],
  }));
  // Where all views look: the centre in px of the picture, css px per px, the divider's share.
  const view = { x: 0, y: 0, zoom: 1, split: 0.5 };
  let scene = scenes[0];
  let fitted = true;
  let panes = [];
  const slider = { canvas: byId("split"), names: () => [byId("left").value, byId("right").value] };

  const imageOf = (name) => scene.images.find((image) => image.alt === name);
  const size = () => ({ w: scene.images[0].naturalWidth, h: scene.images[0].naturalHeight });

  function fitZoom(canvas) {
    const { w, h } = size();
    return Math.min(canvas.clientWidth / w, canvas.clientHeight / h) || 1;
  }

  function show(change) {
    Object.assign(view, change);
    const { w, h } = size();
    const smallest = Math.min(fitZoom(slider.canvas), 1) / 4;
    view.zoom = Math.min(Math.max(view.zoom, smallest), LARGEST);
    view.x = Math.min(Math.max(view.x, 0), w);
    view.y = Math.min(Math.max(view.y, 0), h);
    view.split = Math.min(Math.max(view.split, 0), 1);
    byId("divider").value = view.split * 100;
    const percent = view.zoom * scene.scale * 100;
    byId("zoom").value = `${percent < 10 ? percent.toFixed(1) : Math.round(percent)}%`;
    requestAnimationFrame(draw);
  }

  function fit() {
    const { w, h } = size();
    fitted = true;
    show({ x: w / 2, y: h / 2, zoom: fitZoom(slider.canvas) });
  }

  function zoomBy(factor, x = view.x, y = view.y) {
    // What is at x, y stays where it is.
    fitted = false;
    const zoom = Math.min(view.zoom * factor, LARGEST);
    const share = view.zoom / zoom;
    show({ x: x + (view.x - x) * share, y: y + (view.y - y) * share, zoom });
  }

  function moveBy(dx, dy) {
    fitted = false;
    show({ x: view.x - dx / view.zoom, y: view.y - dy / view.zoom });
  }

  function prepared(canvas) {
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.round(side * ratio));
    if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, w, h);
    const scale = view.zoom * ratio;
    // True pixels stay squares; only what is shrunk is smoothed.
    context.imageSmoothingEnabled = scale < 1;
    context.imageSmoothingQuality = "high";
    canvas.dataset.view = [view.x, view.y, view.zoom].map((value) => value.toFixed(3)).join(" ");
    return { context, w, h, place: [Math.round(w / 2 - view.x * scale), Math.round(h / 2 - view.y * scale), scale] };
  }

  function paint(context, image, [left, top, scale]) {
    if (image && image.complete && image.naturalWidth) {
      context.drawImage(image, left, top, image.naturalWidth * scale, image.naturalHeight * scale);
    }
  }

  function draw() {
    for (const pane of panes) {
      if (pane.figure.hidden) continue;
      const { context, place } = prepared(pane.canvas);
      paint(context, imageOf(pane.name), place);
    }
    const { context, w, h, place } = prepared(slider.canvas);
    const [left, right] = slider.names();
    const at = Math.round(w * view.split);
    for (const [name, x, width] of [[left, 0, at], [right, at, w - at]]) {
      context.save();
      context.beginPath();
      context.rect(x, 0, width, h);
      context.clip();
      paint(context, imageOf(name), place);
      context.restore();
    }
    const line = Math.max(2, Math.round(w / slider.canvas.clientWidth) * 2);
    context.fillStyle = "#000";
    context.fillRect(at - line, 0, line * 2, h);
    context.fillStyle = "#fff";
    context.fillRect(at - line / 2, 0, line, h);
    slider.canvas.dataset.split = view.split.toFixed(3);
  }

  function choose(number) {
    scene = scenes[number];
    byId("note").textContent = scene.note;
    const names = scene.images.map((image) => image.alt);
    if (names.join("\n") !== panes.map((pane) => pane.name).join("\n")) build(names);
    fit();
  }

  function build(names) {
    const colour = (name) => `dot c${imageOf(name).dataset.colour}`;
    panes = names.map((name) => {
      const figure = document.createElement("figure");
      const canvas = document.createElement("canvas");
      const caption = document.createElement("figcaption");
      const dot = document.createElement("i");
      dot.className = colour(name);
      canvas.tabIndex = 0;
      canvas.setAttribute("aria-label", `${name}: arrows move, plus and minus zoom`);
      caption.append(dot, name);
      figure.append(canvas, caption);
      listen(canvas);
      return { name, figure, canvas };
    });
    byId("panes").replaceChildren(...panes.map((pane) => pane.figure));
    byId("shown").replaceChildren(...panes.map((pane) => {
      const label = document.createElement("label");
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
      box.addEventListener("change", () => { pane.figure.hidden = !box.checked; show({}); });
      label.append(box, " ", pane.name);
      return label;
    }));
    const preferred = Math.max(names.findLastIndex((name) => !("yardstick" in imageOf(name).dataset)), 0);
    for (const [id, chosen] of [["left", 0], ["right", preferred]]) {
      byId(id).replaceChildren(...names.map((name) => new Option(name, name)));
      byId(id).selectedIndex = chosen;
    }
  }

  function swap() {
    const [left, right] = slider.names();
    byId("left").value = right;
    byId("right").value = left;
    show({});
  }

  function pictureAt(canvas, event) {
    const box = canvas.getBoundingClientRect();
    return [
      view.x + (event.clientX - box.left - box.width / 2) / view.zoom,
      view.y + (event.clientY - box.top - box.height / 2) / view.zoom,
    ];
  }

  function listen(canvas) {
    const pointers = new Map();
    let dividing = false;
    const apart = () => {
      const [a, b] = [...pointers.values()];
      return { far: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY), clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2 };
    };
    const divide = (event) => {
      const box = canvas.getBoundingClientRect();
      show({ split: (event.clientX - box.left) / box.width });
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      const box = canvas.getBoundingClientRect();
      dividing = canvas === slider.canvas && pointers.size === 0
        && Math.abs(event.clientX - box.left - view.split * box.width) < 14;
      pointers.set(event.pointerId, event);
    });
    canvas.addEventListener("pointermove", (event) => {
      const last = pointers.get(event.pointerId);
      if (!last) return;
      if (dividing) {
        divide(event);
      } else if (pointers.size === 2) {
        const before = apart();
        pointers.set(event.pointerId, event);
        const after = apart();
        moveBy(after.clientX - before.clientX, after.clientY - before.clientY);
        if (before.far > 0) zoomBy(after.far / before.far, ...pictureAt(canvas, after));
      } else {
        moveBy(event.clientX - last.clientX, event.clientY - last.clientY);
      }
      pointers.set(event.pointerId, event);
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(kind, (event) => { pointers.delete(event.pointerId); });
    }
    canvas.addEventListener("dblclick", (event) => zoomBy(event.shiftKey ? 0.5 : 2, ...pictureAt(canvas, event)));
    canvas.addEventListener("wheel", (event) => {
      // The page scrolls as ever, until somebody has clicked into a view.
      if (!event.ctrlKey && !viewer.contains(document.activeElement)) return;
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 30 : 1;
      zoomBy(Math.exp(-event.deltaY * lines / 400), ...pictureAt(canvas, event));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const far = event.shiftKey ? 200 : 40;
      const acts = {
        ArrowLeft: () => moveBy(far, 0), ArrowRight: () => moveBy(-far, 0),
        ArrowUp: () => moveBy(0, far), ArrowDown: () => moveBy(0, -far),
        "+": () => zoomBy(1.25), "=": () => zoomBy(1.25), "-": () => zoomBy(0.8),
        0: fit, 1: actions.one, s: swap,
        ",": () => show({ split: view.split - 0.02 }), ".": () => show({ split: view.split + 0.02 }),
      };
      const act = acts[event.key];
      if (act) { event.preventDefault(); act(); }
    });
  }

  const actions = {
    in: () => zoomBy(1.5), out: () => zoomBy(1 / 1.5), fit, swap,
    one: () => { fitted = false; show({ zoom: 1 / scene.scale }); },
  };

  async function start() {
    await Promise.all(scenes.flatMap((one) => one.images).map((image) => image.decode().catch(() => {})));
    byId("scenes").hidden = true;
    viewer.querySelector(".tools").hidden = false;
    viewer.querySelector(".stage").hidden = false;
    for (const button of viewer.querySelectorAll("button[data-do]")) {
      button.addEventListener("click", () => actions[button.dataset.do]());
    }
    for (const radio of viewer.querySelectorAll("input[name=scene]")) {
      radio.addEventListener("change", () => choose(Number(radio.value)));
    }
    for (const id of ["left", "right"]) byId(id).addEventListener("change", () => show({}));
    byId("divider").addEventListener("input", (event) => show({ split: event.target.value / 100 }));
    listen(slider.canvas);
    choose(Number(viewer.querySelector("input[name=scene]:checked").value));
    new ResizeObserver(() => (fitted ? fit() : show({}))).observe(viewer);
    viewer.dataset.ready = "yes";
  }
  start();
})();
