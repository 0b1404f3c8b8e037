// Long lists: filtered, a page at a time.
Report.paged = ({ list, count, fields, what, names, rows, wanted, row }) => {
  const PAGE = 100;
  let shown = PAGE;
  const draw = () => {
    const found = rows.filter(wanted);
    const head = Report.element("tr", {}, ...names.map((name) => Report.element("th", { scope: "col" }, name)));
    const table = Report.element("table", {}, Report.element("thead", {}, head),
      Report.element("tbody", {}, ...found.slice(0, shown).map(row)));
    const parts = [Report.element("div", { class: "scroll", tabindex: "0" }, table)];
    if (found.length > shown) {
      const more = Report.element("button", { type: "button" }, `${Math.min(PAGE, found.length - shown)} more`);
      more.addEventListener("click", () => { shown += PAGE; draw(); });
      parts.push(more);
    }
    list.replaceChildren(...parts);
    count.textContent = `${Report.number(found.length)} of ${Report.number(rows.length)} ${what}`;
  };
  for (const field of fields) field.addEventListener("input", () => { shown = PAGE; draw(); });
  draw();
};

Report.has = (row, text) => !text || row.some((value) => String(value ?? "").toLowerCase().includes(text.toLowerCase()));

Report.jobs = () => {
  const words = { passed: "passed", failed: "failed", lost: "lost", not_run: "not run" };
  const filter = document.getElementById("job-filter");
  const status = document.getElementById("job-status");
  Report.paged({
    list: document.getElementById("job-list"), count: document.getElementById("job-count"), fields: [filter, status], what: "jobs",
    names: ["status", "job", "simulator", "bits", "seed", "seconds", "attempts", "why", "replay"],
    rows: Report.data("data-jobs"),
    wanted: (job) => (!status.value || job[0] === status.value) && Report.has(job, filter.value),
    row: ([state, id, , simulator, width, seed, seconds, attempts, why, replay]) => {
      const cells = [id, simulator, width ?? "", seed ?? "", seconds, attempts, why].map((text) => Report.element("td", {}, String(text)));
      const badge = Report.element("span", { class: `status ${state}` }, words[state] ?? state);
      const again = replay ? Report.command(replay) : "";
      return Report.element("tr", {}, Report.element("td", {}, badge), ...cells, Report.element("td", {}, again));
    },
  });
};

// The tests of a rule by name: the page has their numbers in the list below the plan, as ranges.
Report.tests = (part) => {
  part.named ??= part.querySelector("span").textContent.split(", ").flatMap((range) => {
    const [low, high] = range.split("-").map(Number);
    return Report.testNames.slice(low - 1, high ?? low);
  });
  return part.named;
};

Report.plan = () => {
  Report.testNames = [...document.querySelectorAll("#plan-tests li")].map((one) => one.textContent);
  for (const part of document.querySelectorAll("details.tests")) {
    part.addEventListener("toggle", () => {
      part.replaceChildren(part.firstElementChild, Report.element("span", {}, Report.tests(part).join(", ")));
    }, { once: true });
  }
};

// What a filter of a table looks for: what a row shows, and the names of its tests.
Report.searched = (row) => {
  row.searched ??= [row.textContent, ...[...row.querySelectorAll("details.tests")].flatMap(Report.tests)].join(" ").toLowerCase();
  return row.searched;
};

// The bins that were hit: many, so they are unpacked when somebody asks.
Report.hits = () => {
  const part = document.getElementById("hits");
  part?.addEventListener("toggle", async () => {
    const list = document.getElementById("hit-list");
    const filter = document.getElementById("hit-filter");
    Report.paged({
      list, count: document.getElementById("hit-count"), fields: [filter], what: "bins", names: list.dataset.names.split("|"),
      rows: await Report.unpack("data-hits"), wanted: (one) => Report.has(one, filter.value),
      row: (one) => Report.element("tr", {}, ...one.map((text) => Report.element("td", {}, String(text)))),
    });
  }, { once: true });
};
