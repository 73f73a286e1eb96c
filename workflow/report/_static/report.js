// Tables of runs are sorted by a click on a column's name, and show only the rows that have all words of a field above them.
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table.runs")) {
    const body = table.tBodies[0], field = document.createElement("input");
    field.type = "search";
    field.className = "filter";
    field.placeholder = "show rows with these words, such as: cuhk03 class";
    field.setAttribute("aria-label", field.placeholder);
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/);
      for (const row of body.rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    });
    table.parentElement.before(field);
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") !== "descending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => row.cells[column].textContent;
        // Numbers by value, and what is not one behind them.
        const order = (a, b) => {
          const [x, y] = [parseFloat(key(a)), parseFloat(key(b))];
          if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y) || key(a).localeCompare(key(b));
          return down ? y - x : x - y;
        };
        body.append(...[...body.rows].sort(order));
      });
    });
  }
});
