/* Saves tables, sorts them, prints. The page says everything without this script but the cell map. */
document.querySelectorAll("a.tsv").forEach(link => {
  link.addEventListener("click", async event => {
    event.preventDefault();
    const bytes = await unpack(link.href.slice(link.href.indexOf(",") + 1));
    const saver = document.createElement("a");
    saver.href = URL.createObjectURL(new Blob([bytes], { type: "text/tab-separated-values" }));
    saver.download = link.dataset.name;
    saver.click();
    setTimeout(() => URL.revokeObjectURL(saver.href), 1000);
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

document.getElementById("print")?.addEventListener("click", () => window.print());
window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(d => { d.open = true; }));
