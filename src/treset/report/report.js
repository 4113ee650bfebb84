/* Saves tables, sorts them, prints. The page says everything without this script but the cell map. */
document.querySelectorAll("a.tsv").forEach(link => {
  link.addEventListener("click", async event => {
    event.preventDefault();
    const bytes = await unpack(link.href.slice(link.href.indexOf(",") + 1));
    save(bytes, "text/tab-separated-values", link.dataset.name);
  });
});

function save(content, type, name) {
  const saver = document.createElement("a");
  saver.href = URL.createObjectURL(new Blob([content], { type }));
  saver.download = name;
  saver.click();
  setTimeout(() => URL.revokeObjectURL(saver.href), 1000);
}

/* a figure as a file of its own: its fonts are in the page's style, so they are set on it */
document.querySelectorAll("button.svg").forEach(button => {
  button.addEventListener("click", () => {
    const figure = button.closest("figure"), copy = figure.querySelector("svg").cloneNode(true), box = copy.viewBox.baseVal;
    copy.setAttribute("width", box.width);
    copy.setAttribute("height", box.height);
    copy.setAttribute("font-family", "DejaVu Sans, Segoe UI, Helvetica, Arial, sans-serif");
    copy.querySelectorAll(".thin").forEach(line => line.setAttribute("opacity", ".55"));
    const name = figure.querySelector("h3").textContent.replace(/[^A-Za-z0-9._-]+/g, "_").slice(0, 80);
    save(new XMLSerializer().serializeToString(copy), "image/svg+xml", name + ".svg");
  });
});

document.querySelectorAll("th button").forEach(button => {
  button.addEventListener("click", () => {
    const head = button.parentElement, table = head.closest("table"), body = table.tBodies[0];
    const column = head.cellIndex, down = head.getAttribute("aria-sort") !== "ascending";
    table.querySelectorAll("th").forEach(th => th.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "ascending" : "descending");
    const key = row => row.cells[column].dataset.sort ?? row.cells[column].textContent;
    const compare = (a, b) => {
      const p = key(a), q = key(b), x = Number(p), y = Number(q);
      if (p === "" || p === "–") return q === "" || q === "–" ? 0 : 1;
      if (q === "" || q === "–") return -1;
      const order = Number.isNaN(x) || Number.isNaN(y) ? p.localeCompare(q, "en", { numeric: true }) : x - y;
      return down ? order : -order;
    };
    [...body.rows].sort(compare).forEach(row => body.append(row));
  });
});

/* a patient's page opens by its link (#patient-P01), also one that was sent by mail */
function openPatient() {
  let id = location.hash.slice(1);
  try { id = decodeURIComponent(id); } catch { return; }
  const page = document.getElementById(id);
  if (!page?.matches("details.patient")) return;
  page.open = true;
  page.querySelector("summary").focus({ preventScroll: true });
  page.scrollIntoView();
}
addEventListener("hashchange", openPatient);
openPatient();
/* the same link again changes no hash */
document.querySelectorAll("td a[href^='#patient-']").forEach(link => link.addEventListener("click", () => {
  if (link.hash === location.hash) openPatient();
}));
document.querySelectorAll("button.one").forEach(button => button.addEventListener("click", () => {
  button.closest("details").classList.add("chosen");
  document.body.classList.add("one");
  window.print();
}));
window.addEventListener("afterprint", () => {
  document.body.classList.remove("one");
  document.querySelectorAll(".chosen").forEach(page => page.classList.remove("chosen"));
});

document.getElementById("print")?.addEventListener("click", () => window.print());
/* on paper short tables are unfolded; long ones stay a line with their number of rows, and whole in the TSV */
window.addEventListener("beforeprint", () => document.querySelectorAll("details:not(.patient)").forEach(d => {
  d.open = Number(d.dataset.rows ?? 0) <= 40;
}));
