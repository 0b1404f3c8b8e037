// A trace of the page: whole commit records out of their changes, and the course of a connection.
Report.Trace = class {
  constructor(content, facts) {
    Object.assign(this, content);
    this.facts = facts;
    this.columns = this.tables.map((table) => new Map(table.names.map((name, at) => [name, at])));
    this.events.forEach((event, at) => {
      event.at = at;
      if (event.r !== undefined && this.commits[event.r].event === undefined) this.commits[event.r].event = at;
    });
    this.commits.forEach((commit, at) => { commit.at = at; });
  }

  static async open(facts) {
    return new Report.Trace(await Report.unpack(facts.id), facts);
  }

  // Everything a commit record holds: {before, after}, maps of column number to value.
  record(number) {
    const { n, e } = this.commits[number];
    let before = new Map();
    let after = new Map();
    for (let at = 0; at <= number; at += 1) {
      const commit = this.commits[at];
      if (commit.n !== n || commit.e !== e) continue;
      before = at === number ? new Map(after) : before;
      for (let i = 0; i < commit.d.length; i += 2) after.set(commit.d[i], commit.d[i + 1]);
    }
    return { before, after };
  }

  // A value in words where the layout has a name for it.
  shown(engine, column, value) {
    const names = this.tables[engine].enums[column];
    return names ? names[String(value ?? 0)] ?? String(value ?? 0) : Report.number(value ?? 0);
  }

  name(connection) {
    const { conn, gen, ends } = this.connections[connection];
    return `${conn}, generation ${gen}: ${ends}`;
  }

  // What tcp_engine held of a connection after each of its commits; sequence numbers count from the first ones seen.
  course(connection) {
    const place = this.columns[0];
    const names = ["snd_una", "snd_nxt", "snd_wnd", "cwnd", "ssthresh", "rto", "rcv_nxt", "rcv_adv", "in_recovery"];
    const columns = names.map((name) => place.get(`tcb.${name}`));
    const state = new Map();
    const points = [];
    const base = {};
    // The 32-bit number near a reference that is already counted from the first one.
    const near = (value, reference) => reference.shown + ((value - reference.raw) | 0);
    let una = null;
    let received = null;
    for (const commit of this.commits) {
      if (commit.n !== connection || commit.e !== 0) continue;
      for (let i = 0; i < commit.d.length; i += 2) state.set(commit.d[i], commit.d[i + 1]);
      const value = Object.fromEntries(names.map((name, at) => [name, state.get(columns[at]) ?? 0]));
      if (!value.snd_una && !value.rcv_nxt) continue; // not loaded yet, or gone
      una = { raw: value.snd_una, shown: una ? near(value.snd_una, una) : 0 };
      received = { raw: value.rcv_nxt, shown: received ? near(value.rcv_nxt, received) : 0 };
      if (!points.length) Object.assign(base, { sent: { ...una }, received: { ...received } });
      points.push({
        at: commit.at, cycle: commit.c, una: una.shown, nxt: near(value.snd_nxt, una), edge: una.shown + value.snd_wnd,
        cwnd: value.cwnd, ssthresh: value.ssthresh, rto: value.rto, received: received.shown,
        advertised: near(value.rcv_adv, received), recovery: value.in_recovery,
      });
    }
    return { points, base };
  }

  // Segments of one direction with data or SYN/FIN, SACK blocks that answer it, by cycle; `again`: seen before.
  segments(connection, course, direction) {
    const sent = direction === "sent";
    const reference = sent ? course.base.sent : course.base.received;
    const found = { segments: [], sacks: [], acks: [] };
    if (!reference) return found;
    let top = { ...reference };
    let highest = -Infinity;
    const count = (raw) => top.shown + ((raw - top.raw) | 0);
    for (const event of this.events) {
      if (event.n !== connection || event.a0 === undefined) continue;
      if (event.k === (sent ? "tx" : "rx")) {
        const length = event.l + (/(^|\+)(SYN|FIN)(\+|$)/.test(event.t) ? 1 : 0);
        const from = count(event.a0);
        if (!length) continue;
        const again = from + length <= highest;
        highest = Math.max(highest, from + length);
        if (from + length > top.shown) top = { raw: (event.a0 + length) >>> 0, shown: from + length };
        found.segments.push({ event: event.at, cycle: event.c, low: from, high: from + length, again });
      } else if (event.k === (sent ? "rx" : "tx")) {
        if (event.t.includes("ACK")) found.acks.push({ event: event.at, cycle: event.c, low: count(event.a), high: count(event.a) });
        for (let i = 0; event.b && i < event.b.length; i += 2) {
          found.sacks.push({ event: event.at, cycle: event.c, low: count(event.b[i]), high: count(event.b[i + 1]) });
        }
      }
    }
    return found;
  }

  // An event in words, one line. With the bases of a course, sequence numbers count from the first ones seen.
  words(event, base = null) {
    const bytes = event.l ? ` ${Report.number(event.l)} bytes` : "";
    if (event.k === "call") return `${event.o}${bytes}${event.m > 1 ? ` in ${event.m} pieces` : ""} (entry ${event.q})`;
    if (event.k === "timer") return event.o === "TIMER" ? "a timer ran out" : event.o;
    if (event.k === "completion") {
      const what = event.o === "INDICATION" ? "indicated" : event.o === "EVENT" ? "event" : `${event.o} complete`;
      return `${what}${event.v ? ` ${event.v}` : ""} ${event.s === "OK" ? "" : event.s}${bytes}`.replace(/ +/g, " ");
    }
    if (event.a0 === undefined) return `frame, ${event.v ?? event.o}`;
    const [own, other] = !base?.sent ? [null, null] : event.k === "tx" ? [base.sent, base.received] : [base.received, base.sent];
    const count = (raw, reference) => (reference ? Report.number(reference.shown + ((raw - reference.raw) | 0)) : raw);
    const blocks = [];
    for (let i = 0; event.b && i < event.b.length; i += 2) blocks.push(`${count(event.b[i], other)} to ${count(event.b[i + 1], other)}`);
    const sack = blocks.length ? `, SACK ${blocks.join("; ")}` : "";
    const aside = event.o === "SEGMENT" ? "" : ` (${event.o.toLowerCase()}${event.v ? `, ${event.v}` : ""})`;
    const numbers = `seq ${count(event.a0, own)} ack ${count(event.a, other)} win ${event.w}`;
    return `${event.again ? "RETRANSMISSION, " : ""}${event.t} ${numbers}${bytes ? `,${bytes}` : ""}${sack}${aside}`;
  }
};
