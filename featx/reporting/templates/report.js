"use strict";
(() => {
  // Tables: sort by a column, find a row.
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      while (head.firstChild) button.append(head.firstChild);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((one) => one.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const worth = (row) => {
          const cell = row.cells[column], number = cell.querySelector("data");
          if (number) return Number(number.value);
          return head.classList.contains("n") ? -Infinity : cell.textContent.trim();
        };
        const rows = [...table.tBodies[0].rows].map((row) => [worth(row), row]);
        rows.sort(([a], [b]) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b))));
        if (!up) rows.reverse();
        table.tBodies[0].append(...rows.map(([, row]) => row));
      });
    });
  }
  const find = document.getElementById("find");
  if (find) {
    const rows = [...document.querySelectorAll("#categories tbody tr")], count = document.getElementById("found");
    const plain = (text) => text.toLocaleLowerCase().normalize("NFKD").replace(/\p{M}/gu, "");
    const look = () => {
      const wanted = plain(find.value.trim());
      let n = 0;
      for (const row of rows) {
        row.hidden = !plain(row.cells[0].textContent).includes(wanted);
        n += !row.hidden;
      }
      count.textContent = `${n} of ${rows.length} shown`;
    };
    find.addEventListener("input", look);
    look();
  }

  // Which section is being read.
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const watcher = new IntersectionObserver((seen) => {
    for (const one of seen) {
      if (!one.isIntersecting) continue;
      links.forEach((link) => link.removeAttribute("aria-current"));
      links.get(one.target.id).setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-15% 0px -75% 0px" });
  links.forEach((_, id) => watcher.observe(document.getElementById(id)));
})();
