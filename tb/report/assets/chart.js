// A chart over cycles: lines that step, marks that stand for events; what is nearest to a click is chosen.
Report.Chart = class {
  // lines: [{name, style, points: [[cycle, value], ...]}]; marks: [{style, low, high, cycle, shape, target}].
  constructor({ title, unit, height, lines, marks, targets, low = null }) {
    Object.assign(this, { title, unit, height, lines, marks, targets, low });
    this.margin = { left: 78, right: 12, top: 8, bottom: 24 };
    this.drawing = Report.svg("svg", { class: "chart", role: "img", "aria-label": title });
    const legend = Report.element("ul", { class: "legend" });
    const named = [...lines, ...marks.filter((mark, at) => marks.findIndex((one) => one.style === mark.style) === at)];
    for (const one of named) legend.append(Report.element("li", { class: one.style }, one.name));
    this.figure = Report.element("figure", {}, Report.element("figcaption", {}, Report.element("b", {}, title), legend), this.drawing);
    this.#listen();
  }

  draw(range, chosen, divergence) {
    this.range = range;
    this.width = Math.max(320, this.figure.clientWidth || 900);
    const { left, right, top, bottom } = this.margin;
    const [first, last] = range;
    const [low, high] = this.#limits();
    this.x = (cycle) => left + (this.width - left - right) * (cycle - first) / (last - first || 1);
    this.y = (value) => top + (this.height - top - bottom) * (1 - (value - low) / (high - low || 1));
    this.drawing.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.drawing.setAttribute("width", this.width);
    this.drawing.setAttribute("height", this.height);
    const inner = Report.svg("g", {});
    for (const line of this.lines) inner.append(Report.svg("path", { class: `line ${line.style}`, d: this.#steps(line.points) }));
    const paths = new Map();
    for (const mark of this.marks) {
      if (mark.cycle < first || mark.cycle > last) continue;
      paths.set(mark.style, (paths.get(mark.style) ?? "") + this.#mark(mark));
    }
    for (const [style, d] of paths) inner.append(Report.svg("path", { class: `mark ${style}`, d }));
    this.drawing.replaceChildren(this.#axes(low, high), inner);
    this.#upright(divergence, "divergence", "first divergence");
    this.#upright(chosen, "chosen", "chosen");
  }

  #limits() {
    const [first, last] = this.range;
    let low = this.low ?? Infinity;
    let high = -Infinity;
    const see = (value) => { low = Math.min(low, value); high = Math.max(high, value); };
    for (const mark of this.marks) if (mark.cycle >= first && mark.cycle <= last) { see(mark.low); see(mark.high); }
    for (const { points, open } of this.lines) {
      if (open) continue; // may leave the chart
      let before = null;
      for (const [cycle, value] of points) {
        if (cycle > last) break;
        if (cycle < first) { before = value; continue; }
        see(value);
      }
      if (before !== null) see(before);
    }
    if (high < low) return [0, 1];
    return high === low ? [low, low + 1] : [low, high + (high - low) * 0.04];
  }

  #steps(points) {
    const [first, last] = this.range;
    let path = "";
    let value = null;
    for (const [cycle, next] of points) {
      if (cycle > last) break;
      if (cycle >= first) {
        if (value !== null) path += `${path ? "L" : "M"}${path ? this.#at(cycle, value) : this.#at(first, value)}L${this.#at(cycle, value)}`;
        path += `${path ? "L" : "M"}${this.#at(cycle, next)}`;
      }
      value = next;
    }
    if (value !== null) path += `${path ? "L" : `M${this.#at(first, value)}L`}${this.#at(last, value)}`;
    return path;
  }

  #at(cycle, value) {
    return `${this.x(cycle).toFixed(1)} ${Math.max(-5, Math.min(this.height + 5, this.y(value))).toFixed(1)}`;
  }

  #mark({ cycle, low, high, shape }) {
    const x = this.x(cycle);
    const top = this.y(high);
    const end = this.y(low);
    if (shape === "dot") return `M${x - 2} ${end}h4`;
    if (shape === "cross") return `M${x - 4} ${top - 4}L${x + 4} ${top + 4}M${x + 4} ${top - 4}L${x - 4} ${top + 4}M${x} ${top}V${end}`;
    return `M${x} ${top}V${end}M${x - 2} ${top}h4M${x - 2} ${end}h4`;
  }

  #axes(low, high) {
    const { left, right, top, bottom } = this.margin;
    const axes = Report.svg("g", { class: "axes" });
    for (const value of Report.Chart.ticks(low, high, 5)) {
      const y = this.y(value);
      axes.append(Report.svg("path", { d: `M${left} ${y}H${this.width - right}` }),
        Report.svg("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, Report.number(value)));
    }
    for (const value of Report.Chart.ticks(...this.range, 7)) {
      const x = this.x(value);
      axes.append(Report.svg("path", { d: `M${x} ${top}V${this.height - bottom}` }),
        Report.svg("text", { x, y: this.height - 8, "text-anchor": "middle" }, Report.number(value)));
    }
    axes.append(Report.svg("text", { x: 2, y: this.height - 8 }, `${this.unit} / cycle`));
    return axes;
  }

  static ticks(low, high, wanted) {
    const rough = (high - low) / wanted || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = Math.max([1, 2, 5, 10].find((one) => one * power >= rough) * power, 1);
    const found = [];
    for (let value = Math.ceil(low / step) * step; value <= high; value += step) found.push(value);
    return found;
  }

  #upright(cycle, style, name) {
    if (cycle === null || cycle === undefined || cycle < this.range[0] || cycle > this.range[1]) return;
    const x = this.x(cycle);
    this.drawing.append(Report.svg("path", { class: style, d: `M${x} ${this.margin.top}V${this.height - this.margin.bottom}` },
      Report.svg("title", {}, `${name}, cycle ${cycle}`)));
  }

  // The target nearest to a place in the drawing.
  nearest(x, y) {
    let best = null;
    let least = Infinity;
    for (const one of this.targets) {
      if (one.cycle < this.range[0] || one.cycle > this.range[1]) continue;
      const top = this.y(one.high);
      const end = this.y(one.low);
      const away = Math.hypot(this.x(one.cycle) - x, y < top ? top - y : y > end ? y - end : 0);
      if (away < least) { least = away; best = one; }
    }
    return best;
  }

  #place(event) {
    const box = this.drawing.getBoundingClientRect();
    return [(event.clientX - box.left) * this.width / box.width, (event.clientY - box.top) * this.height / box.height];
  }

  #listen() {
    let from = null;
    const span = Report.svg("rect", { class: "span", y: "0", height: "100%" });
    const cycle = (x) => this.range[0] + (x - this.margin.left) / (this.width - this.margin.left - this.margin.right) * (this.range[1] - this.range[0]);
    this.drawing.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      [from] = this.#place(event);
      this.drawing.setPointerCapture(event.pointerId);
    });
    this.drawing.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const [x] = this.#place(event);
      span.setAttribute("x", Math.min(x, from));
      span.setAttribute("width", Math.abs(x - from));
      if (!span.parentNode) this.drawing.append(span);
    });
    this.drawing.addEventListener("pointerup", (event) => {
      if (from === null) return;
      const [x, y] = this.#place(event);
      const start = from;
      from = null;
      span.remove();
      if (Math.abs(x - start) > 6) {
        this.onZoom([cycle(Math.min(x, start)), cycle(Math.max(x, start))]);
        return;
      }
      const found = this.nearest(x, y);
      if (found) this.onChoose(found.target);
    });
    this.drawing.addEventListener("dblclick", () => this.onZoom(null));
  }
};
