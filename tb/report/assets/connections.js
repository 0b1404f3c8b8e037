// The part on connections: choice of job and connection, the graphs and the ladder, one event chosen in all of them.
Report.Connections = class {
  constructor() {
    this.facts = Report.data("data-traces");
    this.jobs = document.getElementById("trace-choice");
    this.connections = document.getElementById("connection-choice");
    this.direction = document.getElementById("direction-choice");
    this.jobs.addEventListener("change", () => this.open(this.jobs.value));
    this.edge = document.getElementById("edge-choice");
    for (const one of [this.connections, this.direction, this.edge]) one.addEventListener("change", () => this.show());
    for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => this.zoom(button.dataset.zoom));
    for (const link of document.querySelectorAll("a[data-trace]")) link.addEventListener("click", () => this.open(link.dataset.trace));
    document.querySelector("#connections .views").addEventListener("keydown", (event) => this.#key(event));
    document.getElementById("graphs").tabIndex = 0;
    new ResizeObserver(() => this.#draw()).observe(document.getElementById("graphs"));
  }

  async open(id) {
    this.jobs.value = id;
    const facts = this.facts.find((one) => one.id === id);
    const note = document.getElementById("trace-note");
    try {
      this.trace = await Report.Trace.open(facts);
    } catch (error) {
      note.textContent = `This browser cannot unpack the trace: ${error.message}`;
      return;
    }
    const { divergence, origin, connections } = this.trace;
    note.textContent = [facts.limit && `In this page: ${facts.limit}.`, divergence !== null && `First divergence at cycle ${Report.number(divergence)}.`,
      origin && `Recorded by: ${origin}`].filter(Boolean).join(" ");
    this.connections.replaceChildren(...connections.map((_, at) => Report.element("option", { value: at }, this.trace.name(at))));
    this.connections.value = this.#busiest();
    this.show();
  }

  // With a divergence the connection of the last event, else the one with most events.
  #busiest() {
    const { events, divergence } = this.trace;
    const own = events.filter((event) => event.n >= 0);
    if (divergence !== null && own.length) return String(own[own.length - 1].n);
    const counts = new Map();
    for (const event of own) counts.set(event.n, (counts.get(event.n) ?? 0) + 1);
    return String([...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 0);
  }

  show() {
    const { trace } = this;
    const connection = Number(this.connections.value);
    const course = trace.course(connection);
    const sent = this.direction.value === "sent";
    for (const direction of ["sent", "received"]) {
      for (const one of trace.segments(connection, course, direction).segments) trace.events[one.event].again = one.again;
    }
    this.events = trace.events.filter((event) => event.n === connection);
    const cycles = [...this.events.map((event) => event.c), ...course.points.map((point) => point.cycle)];
    this.whole = [Math.min(...cycles), Math.max(...cycles)];
    if (!cycles.length || this.whole[0] === this.whole[1]) this.whole = [0, Math.max(1, ...cycles)];
    this.range = this.whole;
    this.charts = [this.#sequence(connection, course, sent), this.#windows(course), this.#timer(course)];
    for (const chart of this.charts) {
      chart.onChoose = (target) => this.choose(target);
      chart.onZoom = (range) => { this.range = range ?? this.whole; this.#draw(); };
    }
    this.ladder = new Report.Ladder(trace, this.events, course.base, (target) => this.choose(target));
    document.getElementById("graphs").replaceChildren(...this.charts.map((chart) => chart.figure));
    document.getElementById("ladder").replaceChildren(this.ladder.figure);
    const until = trace.divergence ?? Infinity;
    const before = this.events.filter((event) => event.c <= until);
    const start = trace.divergence === null ? this.events[0] : before[before.length - 1] ?? this.events[0];
    this.target = null;
    if (start) this.choose({ event: start.at });
    this.#draw();
  }

  #sequence(connection, course, sent) {
    const { segments, sacks, acks } = this.trace.segments(connection, course, sent ? "sent" : "received");
    const line = (name, style, pick, open) => ({ name, style, open, points: course.points.map((point) => [point.cycle, pick(point)]) });
    // A window much larger than what is in it would press the segments flat: then its edge may leave the graph.
    const top = Math.max(1, ...segments.map((one) => one.high));
    const edge = (name, pick) => {
      const above = !this.edge.checked && course.points.some((point) => pick(point) > 2 * top);
      return line(above ? `${name}, above the graph in places` : name, "edge", pick, above);
    };
    const mark = (name, style, shape) => (one) => ({ ...one, name, style, shape, target: { event: one.event } });
    const fresh = segments.filter((one) => !one.again).map(mark(sent ? "sent" : "received", "segment", "bar"));
    const again = segments.filter((one) => one.again).map(mark("retransmission", "again", "cross"));
    const marks = [...fresh, ...again, ...sacks.map(mark("SACK", "sack", "bar")), ...acks.map(mark("ACK", "ack-mark", "dot"))];
    return new Report.Chart({
      title: sent ? "Time and sequence: data that the device sends" : "Time and sequence: data that the device receives",
      unit: "bytes", height: 340, marks, targets: marks,
      lines: sent
        ? [line("acknowledged (snd_una)", "acked", (point) => point.una), edge("window edge", (point) => point.edge)]
        : [line("acknowledged (rcv_nxt)", "acked", (point) => point.received), edge("window edge (rcv_adv)", (point) => point.advertised)],
    });
  }

  #windows(course) {
    const most = Math.max(1, ...course.points.map((point) => point.cwnd));
    const above = course.points.some((point) => point.ssthresh > 4 * most);
    return new Report.Chart({
      title: "Congestion window", unit: "bytes", height: 170, marks: [], low: 0,
      lines: [
        { name: "cwnd", style: "cwnd", points: course.points.map((point) => [point.cycle, point.cwnd]) },
        { name: above ? "ssthresh (at first above the graph)" : "ssthresh", style: "ssthresh", open: above, points: course.points.map((point) => [point.cycle, point.ssthresh]) },
      ],
      targets: this.#commits(course, (point) => point.cwnd),
    });
  }

  #timer(course) {
    return new Report.Chart({
      title: "Retransmission timeout", unit: "ticks", height: 120, marks: [], low: 0,
      lines: [{ name: "RTO", style: "rto", points: course.points.map((point) => [point.cycle, point.rto]) }],
      targets: this.#commits(course, (point) => point.rto),
    });
  }

  #commits(course, pick) {
    return course.points.map((point) => {
      const { event } = this.trace.commits[point.at];
      const target = event === undefined ? { commit: point.at } : { event };
      return { cycle: point.cycle, low: pick(point), high: pick(point), target };
    });
  }

  choose(target) {
    this.target = target;
    document.getElementById("detail").replaceChildren(...Report.detail(this.trace, target));
    this.ladder.choose(target.event ?? null);
    this.#draw();
  }

  step(by) {
    const at = this.events.findIndex((event) => event.at === this.target?.event);
    const next = this.events[Math.max(0, Math.min(this.events.length - 1, at + by))];
    if (!next) return;
    const [first, last] = this.range;
    if (next.c < first || next.c > last) this.range = [next.c - (last - first) / 2, next.c + (last - first) / 2];
    this.choose({ event: next.at });
  }

  zoom(what) {
    const [first, last] = this.range;
    const { trace, target } = this;
    const middle = target ? (target.event === undefined ? trace.commits[target.commit] : trace.events[target.event]).c : (first + last) / 2;
    const half = (last - first) / 2 * (what === "in" ? 0.5 : 2);
    const all = what === "all" || half * 2 >= this.whole[1] - this.whole[0];
    this.range = all ? this.whole : [middle - half, middle + half];
    this.#draw();
  }

  #draw() {
    if (!this.charts) return;
    const { trace, target } = this;
    const cycle = target && (target.event === undefined ? trace.commits[target.commit] : trace.events[target.event]).c;
    for (const chart of this.charts) chart.draw(this.range, cycle, trace.divergence);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT)$/.test(event.target.tagName)) return;
    const does = {
      ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1), Home: () => this.step(-Infinity), End: () => this.step(Infinity),
      "+": () => this.zoom("in"), "=": () => this.zoom("in"), "-": () => this.zoom("out"), 0: () => this.zoom("all"),
    }[event.key];
    if (!does) return;
    does();
    event.preventDefault();
  }
};
