// Host, device and wire as three lines; every event is a row. Only the rows in view are in the document.
Report.Ladder = class {
  constructor(trace, events, base, onChoose) {
    Object.assign(this, { trace, events, base, onChoose });
    this.row = 24;
    this.rows = Report.element("div", { class: "rows" });
    this.rows.style.height = `${events.length * this.row}px`;
    this.scroller = Report.element("div", { class: "ladder", tabindex: "0", role: "list", "aria-label": "host calls, completions, segments" }, this.rows);
    const head = ["cycle", "host", "device", "wire"].map((name) => Report.element("span", {}, name));
    this.figure = Report.element("div", {}, Report.element("div", { class: "ladder-head" }, ...head), this.scroller);
    this.scroller.addEventListener("scroll", () => this.#draw());
    this.chosen = null;
  }

  choose(number) {
    this.chosen = number;
    const at = this.events.findIndex((event) => event.at === number);
    if (at >= 0) {
      const top = at * this.row;
      const { scrollTop, clientHeight } = this.scroller;
      if (top < scrollTop || top > scrollTop + clientHeight - this.row) this.scroller.scrollTop = top - clientHeight / 2;
    }
    this.#draw();
  }

  #draw() {
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / this.row) - 5);
    const last = Math.min(this.events.length, first + Math.ceil((this.scroller.clientHeight || 480) / this.row) + 10);
    this.rows.replaceChildren(...this.events.slice(first, last).map((event, at) => this.#line(event, first + at)));
  }

  #line(event, at) {
    const style = event.again ? `${event.k} again` : event.k;
    const row = Report.element("div", {
      class: `step ${style}${event.at === this.chosen ? " chosen" : ""}`, role: "listitem", "data-event": event.at,
    }, Report.element("span", { class: "cycle" }, Report.number(event.c)), Report.element("i", { class: "arrow" }),
    Report.element("span", { class: "words" }, this.trace.words(event, this.base)));
    row.style.top = `${at * this.row}px`;
    row.addEventListener("click", () => this.onChoose({ event: event.at }));
    return row;
  }
};
