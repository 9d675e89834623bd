// The images that there are, with thumbnails and search.
import { element } from "./pane.js";

const AGAIN = 3000; // ms until a thumbnail that is being made is asked for again
const MOST = 500; // entries that are in the page at once; the search narrows them down

export class List {
  constructor(app) {
    this.app = app;
    this.items = [];
    this.search = document.getElementById("search");
    this.search.addEventListener("input", () => this.fill());
    this.ul = document.getElementById("images");
    this.known = "";
  }

  take(items) {
    const text = JSON.stringify(items);
    if (text === this.known) return;
    this.known = text;
    this.items = items;
    this.fill();
  }

  fill() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fit = this.items.filter(({ name, folder }) => words.every((word) => `${folder}/${name}`.toLowerCase().includes(word)));
    document.getElementById("found").textContent = fit.length === this.items.length
      ? `${fit.length} image${fit.length === 1 ? "" : "s"}`
      : `${fit.length} of ${this.items.length} images`;
    const focused = document.activeElement?.dataset?.id;
    this.ul.replaceChildren(...fit.slice(0, MOST).map((item) => this.entry(item)));
    if (focused) this.ul.querySelector(`[data-id="${focused}"]`)?.focus();
    this.mark();
  }

  entry({ id, name, folder, unfinished }) {
    const button = element("button", { type: "button" });
    button.dataset.id = id;
    const address = `images/${id}.thumb.jpg`;
    const image = element("img", { src: address, alt: "", loading: "lazy", width: 72, height: 54 });
    image.addEventListener("error", async () => {
      const response = await fetch(address, { method: "HEAD" }).catch(() => null);
      if (response?.status === 202) setTimeout(() => { image.src = `${address}?again=${Date.now()}`; }, AGAIN);
    });
    button.append(
      image,
      element("span", {}, element("b", { textContent: name }), element("small", { textContent: unfinished ? "being made" : folder })),
    );
    button.addEventListener("click", () => this.app.toggle(id));
    return element("li", {}, button);
  }

  mark() {
    for (const button of this.ul.querySelectorAll("button")) {
      const shown = this.app.panes.some((pane) => pane.facts.id === button.dataset.id);
      button.setAttribute("aria-pressed", String(shown));
    }
  }
}
