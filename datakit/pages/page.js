// What a card does beyond standing there: records by class, boxes on and off, tables by a column.
"use strict";

for (const image of document.querySelectorAll("img[data-same]")) {
  image.src = document.getElementById(image.dataset.same).src; // each picture stands in the page once
}

for (const gallery of document.querySelectorAll(".gallery.filtered")) {
  const tools = gallery.querySelector(".tools"), tiles = [...gallery.querySelectorAll(".tile")];
  const choice = tools.querySelector("select"), words = tools.querySelector("input[type=search]");
  const count = tools.querySelector("output");
  const texts = tiles.map((tile) => tile.textContent.toLowerCase());
  const show = () => {
    const wanted = words.value.trim().toLowerCase();
    let shown = 0;
    tiles.forEach((tile, at) => {
      const fits = (choice.value === "" || tile.dataset.label === choice.value) && texts[at].includes(wanted);
      tile.parentElement.hidden = !fits;
      shown += fits;
    });
    count.value = `${shown} / ${tiles.length}`;
  };
  choice.addEventListener("change", show);
  words.addEventListener("input", show);
  tools.querySelector("input[type=checkbox]").addEventListener("change", (event) => {
    document.body.classList.toggle("unframed", !event.target.checked);
  });
  tools.hidden = false;
  show();
}

for (const table of document.querySelectorAll("main table")) {
  const body = table.tBodies[0];
  if (body.rows.length < 3) continue;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.cells[column].textContent.trim();
      const numbers = head.classList.contains("number");
      const order = (a, b) => numbers
        ? (parseFloat(value(a).replaceAll(",", "")) || 0) - (parseFloat(value(b).replaceAll(",", "")) || 0)
        : value(a).localeCompare(value(b), "zh");
      body.append(...[...body.rows].sort((a, b) => (down ? -1 : 1) * order(a, b)));
    });
  });
}

document.body.dataset.ready = "";
