// A grid of any number of records, of which only those in sight are in the document.

class Grid {
  constructor(scroller, state, open) {
    Object.assign(this, { scroller, state, open, view: [], cells: [], focus: 0, isLarge: false, lastTop: 0 });
    this.space = document.createElement("div");
    this.space.className = "space";
    scroller.append(this.space);
    scroller.addEventListener("scroll", () => this.soon(), { passive: true });
    new ResizeObserver(() => this.layout()).observe(scroller);
    scroller.addEventListener("click", (event) => {
      const cell = event.target.closest(".cell");
      if (cell) { this.focus = Number(cell.dataset.position); this.paint(); open(this.focus); }
    });
  }

  show(view, isLarge) {
    this.view = view;
    this.isLarge = isLarge;
    this.focus = 0;
    this.scroller.scrollTop = 0;
    this.layout();
  }

  // More records at the end of what is shown.
  grow() {
    this.space.style.height = `${Math.ceil(this.view.length / this.columns) * this.rowHeight}px`;
    this.paint();
  }

  layout() {
    const width = this.scroller.clientWidth - 16, gap = 8;
    const wanted = this.isLarge ? Math.min(320, width) : 150;
    this.columns = Math.max(1, Math.floor((width + gap) / (wanted + gap)));
    this.cellWidth = Math.floor((width - gap * (this.columns - 1)) / this.columns);
    this.rowHeight = this.isLarge ? 560 : 222;
    const rows = Math.ceil(this.view.length / this.columns);
    this.space.style.height = `${rows * this.rowHeight}px`;
    const seen = (Math.ceil(this.scroller.clientHeight / this.rowHeight) + 3) * this.columns;
    while (this.cells.length > seen) this.cells.pop().remove();
    while (this.cells.length < seen) this.cells.push(this.cell());
    for (const cell of this.cells) cell.position = -1;
    this.paint();
  }

  cell() {
    const cell = document.createElement("div");
    cell.className = "cell";
    cell.innerHTML = '<div class="frame"><img alt="" decoding="async"><p class="snippet"></p></div>' +
      '<div class="caption"><b></b><span></span></div><i class="mark"></i>';
    [cell.image, cell.snippet] = cell.firstChild.children;
    [cell.label, cell.note] = cell.children[1].children;
    cell.mark = cell.lastChild;
    this.space.append(cell);
    return cell;
  }

  soon() {
    if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.paint(); });
  }

  // Pictures wait while a far jump is on its way: those that pass by would only hold up those that stay.
  paint() {
    const top = this.scroller.scrollTop, height = this.scroller.clientHeight;
    const isFar = Math.abs(top - this.lastTop) > height;
    this.lastTop = top;
    const first = Math.max(0, Math.floor(top / this.rowHeight) - 1) * this.columns;
    for (let offset = 0; offset < this.cells.length; offset += 1) {
      const position = first + offset, cell = this.cells[position % this.cells.length];
      if (position >= this.view.length) { cell.hidden = true; cell.position = -1; continue; }
      if (cell.position !== position) this.fill(cell, position, isFar);
      this.marks(cell, position);
    }
    clearTimeout(this.settle);
    this.settle = setTimeout(() => this.pictures(), isFar ? 70 : 0);
  }

  fill(cell, position, isFar) {
    const record = this.view[position], index = this.state.index;
    cell.hidden = false;
    cell.position = position;
    cell.dataset.position = position;
    const row = Math.floor(position / this.columns), column = position % this.columns;
    cell.style.transform = `translate(${column * (this.cellWidth + 8)}px, ${row * this.rowHeight}px)`;
    cell.style.width = `${this.cellWidth}px`;
    cell.style.height = `${this.rowHeight - 8}px`;
    cell.label.textContent = labelOf(record);
    const predicted = index.predicted[record], proposal = index.proposal[record];
    const other = proposal >= 0 ? proposal : predicted !== index.label[record] ? predicted : -1;
    const chance = index.probability[record];
    cell.note.textContent = other >= 0
      ? `→ ${index.labels[other].name}${other === predicted && chance !== null ? ` ${Math.round(chance * 100)}%` : ""}`
      : index.id[record];
    cell.snippet.textContent = index.thumbs[record] ? "" : index.snippet[record] || say("noPicture");
    cell.image.removeAttribute("src");
    cell.wants = index.thumbs[record] ? record : -1;
    if (!isFar) this.picture(cell);
  }

  pictures() { for (const cell of this.cells) if (!cell.hidden) this.picture(cell); }

  async picture(cell) {
    const record = cell.wants;
    if (record < 0) return;
    cell.wants = -1;
    cell.image.src = thumbUrl(record);
    if (!this.isLarge) return;
    const row = await details(record).catch(() => null);
    const picture = row?.pictures.find((one) => !one.problem);
    if (picture && this.view[cell.position] === record) cell.image.src = pictureUrl(record, picture);
  }

  marks(cell, position) {
    const one = this.state.decided.get(this.view[position]);
    const mark = one?.action ?? "";
    if (cell.mark.dataset.action !== mark || one !== cell.one) {
      cell.one = one;
      cell.mark.dataset.action = mark;
      cell.mark.textContent = !one ? "" : one.action === "relabel" ? this.state.index.labels[one.label].name : say(one.action);
    }
    cell.classList.toggle("focus", position === this.focus);
  }

  move(step) {
    this.focus = Math.max(0, Math.min(this.view.length - 1, this.focus + step));
    const top = Math.floor(this.focus / this.columns) * this.rowHeight;
    const { scrollTop, clientHeight } = this.scroller;
    if (top < scrollTop) this.scroller.scrollTop = top;
    else if (top + this.rowHeight > scrollTop + clientHeight) this.scroller.scrollTop = top + this.rowHeight - clientHeight;
    this.paint();
  }
}
