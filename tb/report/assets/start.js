// Everything that makes the page move; it can be read before, and prints without.
Report.start = async () => {
  document.getElementById("theme").addEventListener("click", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const root = document.documentElement;
    root.dataset.theme = (root.dataset.theme ?? (dark ? "dark" : "light")) === "dark" ? "light" : "dark";
  });
  document.addEventListener("click", async (event) => {
    const line = event.target.dataset?.copy;
    if (line === undefined) return;
    try {
      await navigator.clipboard.writeText(line);
      event.target.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(event.target.previousElementSibling);
    }
  });
  Report.plan();
  for (const field of document.querySelectorAll("[data-filter]")) {
    const rows = [...document.querySelectorAll(`#${field.dataset.filter} table.filtered tbody tr`)];
    field.addEventListener("input", () => {
      const wanted = field.value.toLowerCase();
      for (const row of rows) row.hidden = !Report.searched(row).includes(wanted);
    });
  }
  for (const head of document.querySelectorAll("table.sortable thead th")) Report.sortable(head);
  addEventListener("beforeprint", () => { for (const one of document.querySelectorAll("section > details")) one.open = true; });
  Report.jobs();
  Report.hits();
  if (document.getElementById("trace-choice")) {
    Report.connections = new Report.Connections();
    await Report.connections.open(Report.connections.jobs.value);
  }
  document.documentElement.dataset.ready = Math.round(performance.now());
};

Report.sortable = (head) => {
  const button = Report.element("button", { type: "button", title: "sort" }, ...head.childNodes);
  head.replaceChildren(button);
  button.addEventListener("click", () => {
    const body = head.closest("table").tBodies[0];
    const at = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.cells[at].textContent;
    const order = new Intl.Collator("en", { numeric: true }).compare;
    body.append(...[...body.rows].sort((a, b) => (down ? -1 : 1) * order(key(a), key(b))));
  });
};

Report.start();
