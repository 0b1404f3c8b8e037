// The event chosen: cycle, commit record, frame bytes, and the command that opens the wave there.
Report.detail = (trace, target) => {
  const event = target.event === undefined ? null : trace.events[target.event];
  const number = event ? event.r : target.commit;
  const commit = number === undefined ? null : trace.commits[number];
  const cycle = (event ?? commit).c;
  const kinds = { call: "host call", completion: "completion or indication", tx: "frame out", rx: "frame in", timer: "timer" };
  const parts = [Report.element("h3", {}, event ? `${kinds[event.k]}: ${trace.words(event)}` : "commit")];
  const facts = [["cycle", Report.element("b", { id: "detail-cycle" }, String(cycle))]];
  const connection = (event ?? commit).n;
  if (connection >= 0) facts.push(["connection", trace.name(connection)]);
  if (event?.i && event.i !== "0") facts.push(["cookie", `0x${event.i}`]);
  facts.push(["waves", Report.wavesAt(trace, cycle)]);
  parts.push(Report.element("dl", { class: "facts" }, ...facts.map(([name, value]) =>
    Report.element("div", {}, Report.element("dt", {}, name), Report.element("dd", {}, value)))));
  if (commit) parts.push(...Report.recordOf(trace, number));
  else parts.push(Report.element("p", { class: "note" }, "No commit record of tcp_engine or delivery_engine belongs to it."));
  if (event?.f !== undefined) parts.push(...Report.frameOf(trace.frames[event.f]));
  return parts;
};

Report.wavesAt = (trace, cycle) => {
  const { waves } = trace.facts;
  if (!waves) return "the golden device has no waves";
  return Report.element("div", { id: "detail-waves" }, Report.command(`${waves}${cycle}`));
};

Report.recordOf = (trace, number) => {
  const commit = trace.commits[number];
  const { before, after } = trace.record(number);
  const names = trace.tables[commit.e].names;
  const engine = commit.e ? "delivery_engine" : "tcp_engine";
  const rows = (columns) => columns.map((column) => {
    const was = trace.shown(commit.e, column, before.get(column));
    const is = trace.shown(commit.e, column, after.get(column));
    return Report.element("tr", {}, Report.element("th", { scope: "row" }, names[column]),
      Report.element("td", {}, was), Report.element("td", {}, is));
  });
  const table = (title, columns) => Report.element("table", {}, Report.element("caption", {}, title),
    Report.element("thead", {}, Report.element("tr", {}, ...["field", "before", "after"].map((name) => Report.element("th", { scope: "col" }, name)))),
    Report.element("tbody", {}, ...rows(columns)));
  const changed = commit.d.filter((_, at) => at % 2 === 0);
  const all = [...after.keys()].filter((column) => after.get(column)).sort((a, b) => a - b);
  const kind = trace.shown(commit.e, trace.columns[commit.e].get("kind"), after.get(trace.columns[commit.e].get("kind")));
  return [
    Report.element("h4", {}, `commit of ${engine}: ${kind}, cycle ${commit.c}`),
    Report.element("div", { class: "scroll", id: "detail-record" }, table("what it changed against the commit before", changed)),
    Report.element("details", {}, Report.element("summary", {}, `the whole record: ${all.length} fields that are not 0`),
      Report.element("div", { class: "scroll" }, table("all fields but those that are 0", all))),
  ];
};

Report.frameOf = ([length, hex]) => {
  const lines = [];
  for (let at = 0; at < hex.length; at += 32) {
    const pairs = hex.slice(at, at + 32).match(/../g);
    const text = pairs.map((pair) => { const code = parseInt(pair, 16); return code > 31 && code < 127 ? String.fromCharCode(code) : "."; });
    lines.push(`${(at / 2).toString(16).padStart(4, "0")}  ${pairs.join(" ").padEnd(47)}  ${text.join("")}`);
  }
  const kept = hex.length / 2;
  const title = kept < length ? `frame, the first ${kept} of ${Report.number(length)} bytes` : `frame, ${length} bytes`;
  return [Report.element("h4", {}, title), Report.element("pre", { id: "detail-frame", tabindex: "0" }, lines.join("\n"))];
};
