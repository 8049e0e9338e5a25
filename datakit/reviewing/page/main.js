// The page: filters, groups, the view of one record, the keyboard.

let state, grid, viewer = { position: -1 }, group = null, boxesShown = true;

const labelOf = (record) =>
  INDEX.label[record] >= 0 ? INDEX.labels[INDEX.label[record]].name : INDEX.written[record] ?? say("noLabel");

const hasNoLabel = (record) => INDEX.label[record] < 0 && INDEX.written[record] === undefined;

function fillSelect(select, options) {
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
}

function setUp() {
  document.documentElement.lang = INDEX.language === "zh" ? "zh-CN" : "en";
  document.title = `${say("title")} ${INDEX.build}`;
  for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  for (const element of document.querySelectorAll("[data-hint]")) element.placeholder = say(element.dataset.hint);
  for (const element of document.querySelectorAll("[data-name]")) element.setAttribute("aria-label", say(element.dataset.name));
  at("build").textContent = INDEX.build;
  at("notices").textContent = INDEX.notices.map(([word, values]) => say(word, values)).join(INDEX.language === "zh" ? "；" : "; ");
  at("notices").hidden = !INDEX.notices.length;
  const counts = new Array(INDEX.labels.length).fill(0);
  for (const label of INDEX.label) if (label >= 0) counts[label] += 1;
  const any = ["", say("any")];
  fillSelect(at("f-label"), [any, ...INDEX.labels.map((label, number) => [number, `${label.name} (${counts[number]})`]), ["-1", say("noLabel")]]);
  fillSelect(at("f-tag"), [any, ...INDEX.tag_names.map((name, number) => [number, say(name)])]);
  fillSelect(at("f-split"), [any, ...INDEX.split_names.map((name, number) => [number, say(name)])]);
  fillSelect(at("f-state"), [any, ...["open", "decided", "skipped", "accept", "relabel", "drop"].map((name) => [name, say(name)])]);
  const groups = INDEX.groups.map((one, number) => [number, `${say(one.kind)} ${one.name} (${one.members.length})`]);
  fillSelect(at("f-group"), [["", say("allRecords")], ...groups]);
  at("f-group").parentElement.hidden = !groups.length;
  at("who").value = state.who;
  for (const button of document.querySelectorAll("[data-do=relabel]")) button.hidden = !INDEX.relabels;
}

function filter() {
  const chosen = (id) => (at(id).value === "" ? null : Number(at(id).value));
  const label = chosen("f-label"), tag = chosen("f-tag"), split = chosen("f-split"), number = chosen("f-group");
  const wanted = at("f-state").value, text = at("f-search").value.trim();
  group = number === null ? null : INDEX.groups[number];
  const pool = [];
  const every = group ? group.members : INDEX.id.keys();
  for (const record of every) {
    if (label !== null && INDEX.label[record] !== label) continue;
    if (tag !== null && !(INDEX.tags[record] & (1 << tag))) continue;
    if (split !== null && INDEX.split[record] !== split) continue;
    if (wanted && !isIn(wanted, state.decided.get(record)?.action)) continue;
    pool.push(record);
  }
  searches += 1;
  if (text) searched(pool, text);
  else { grid.show(pool, group !== null); shown(); }
}

// Records appear as they are found; a whole group is decided only when all of it is known.
async function searched(pool, text) {
  const view = [];
  grid.show(view, group !== null);
  at("nothing").hidden = true;
  at("group-bar").hidden = true;
  const progress = (done) => {
    at("shown").textContent = say("searching", { done: done.toLocaleString(), all: pool.length.toLocaleString(), n: view.length.toLocaleString() });
    grid.grow();
  };
  progress(0);
  if (await search(pool, text, (record) => view.push(record), progress)) { grid.grow(); shown(); }
}

function shown() {
  const view = grid.view;
  at("shown").textContent = say("shown", { n: view.length.toLocaleString() });
  at("nothing").hidden = view.length > 0;
  at("group-bar").hidden = group === null || !view.length;
  at("group-words").textContent = say("forAll", { n: view.length.toLocaleString() });
  const proposed = clusterLabel(view);
  at("group-take").hidden = proposed < 0;
  if (proposed >= 0) at("group-take").textContent = `${say("take")}: ${INDEX.labels[proposed].name}`;
}

// The label that most records of a cluster are proposed: the class that all of it resembles.
function clusterLabel(records) {
  if (group?.kind !== "cluster" || !INDEX.relabels) return -1;
  const counts = new Map();
  for (const record of records) {
    const label = INDEX.proposal[record];
    if (label >= 0) counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  return [...counts].sort((left, right) => right[1] - left[1])[0]?.[0] ?? -1;
}

function isIn(wanted, action) {
  if (wanted === "open") return action === undefined || action === "skip";
  if (wanted === "decided") return action !== undefined && action !== "skip";
  if (wanted === "skipped") return action === "skip";
  return action === wanted;
}

function progress() {
  const done = state.count(), all = INDEX.id.length;
  at("progress").textContent = say("progress", { done: done.toLocaleString(), all: all.toLocaleString() });
  at("bar").max = all || 1;
  at("bar").value = done;
  const note = at("kept");
  note.classList.toggle("bad", state.isFull || Boolean(state.isCut));
  note.textContent = state.isFull ? say("full")
    : state.isCut ? say("unsaved", { n: state.waiting.size })
    : state.server ? say("savedServer", { file: state.server.file }) : say("saved");
  grid.paint();
  if (at("viewer").open) decidedWords();
}

// Decisions

function act(action, records) {
  if (!records.length) return;
  if (action === "undo") { const undone = state.undo(records[0]); if (undone.length) flash(say("undone", { n: undone.length })); return; }
  if (!state.who) { at("who").focus(); flash(say("whoFirst")); if (at("viewer").open) at("viewer").close(); return; }
  // Where there is no label to accept, the proposed one is: an acceptance of nothing would label nothing.
  if (action === "accept" && INDEX.relabels && records.some(hasNoLabel)) {
    action = records.length === 1 && INDEX.proposal[records[0]] >= 0 ? "take" : "relabel";
  }
  if (action === "relabel") { if (INDEX.relabels) askLabel(records); return; }
  if (action === "take") {
    const label = records.length > 1 ? clusterLabel(records) : INDEX.proposal[records[0]];
    if (label < 0 || !INDEX.relabels) return;
    state.decide(records, "relabel", () => label);
  } else {
    state.decide(records, action);
  }
  onward(records);
}

function onward(records) {
  if (records.length > 1) return;
  if (at("viewer").open) step(1); else grid.move(1);
}

let flashTimer = 0;
function flash(text) {
  at("flash").textContent = text;
  at("flash").classList.add("on");
  clearTimeout(flashTimer);
  flashTimer = setTimeout(() => at("flash").classList.remove("on"), 2500);
}

// Type-ahead over labels, their aliases, pinyin and initials

let asked = [], matches = [], picked = 0;
function askLabel(records) {
  asked = records;
  at("new-label").value = "";
  at("why").value = "";
  at("relabel-words").textContent = records.length > 1 ? say("confirmAll", { n: records.length }) : labelOf(records[0]);
  at("relabel").showModal();
  at("new-label").focus();
  suggest();
}

function suggest() {
  const typed = bare(fold(at("new-label").value).replaceAll(" ", ""));
  const score = (label) => Math.min(...label.typed.map((form) => {
    const found = fold(form).indexOf(typed);
    return found < 0 ? 9e9 : found * 100 + form.length;
  }));
  const preferred = asked.length ? INDEX.proposal[asked[0]] : -1;
  matches = INDEX.labels.map((label, number) => [typed ? score(label) : number === preferred ? -1 : number, number])
    .filter(([rank]) => rank < 9e9).sort((left, right) => left[0] - right[0]).slice(0, 50).map(([, number]) => number);
  picked = 0;
  at("matches").replaceChildren(...matches.map((number, place) => {
    const item = document.createElement("li"), label = INDEX.labels[number];
    const name = document.createElement("b"), about = document.createElement("span");
    name.textContent = label.name;
    about.textContent = label.about;
    item.append(name, about);
    item.setAttribute("role", "option");
    item.onclick = () => { picked = place; take(); };
    return item;
  }));
  at("no-match").hidden = matches.length > 0;
  pick(0);
}

function pick(step) {
  const items = at("matches").children;
  if (!items.length) return;
  picked = (picked + step + items.length) % items.length;
  [...items].forEach((item, place) => item.setAttribute("aria-selected", String(place === picked)));
  items[picked].scrollIntoView({ block: "nearest" });
}

function take() {
  if (!matches.length) return;
  at("relabel").close();
  const label = matches[picked];
  state.decide(asked, "relabel", () => label, at("why").value.trim().slice(0, 2000));
  onward(asked);
}

// One record

async function look(position) {
  viewer.position = position;
  const record = grid.view[position];
  if (record === undefined) return;
  if (!at("viewer").open) at("viewer").showModal();
  at("v-id").textContent = INDEX.id[record];
  at("v-place").textContent = `${(position + 1).toLocaleString()} / ${grid.view.length.toLocaleString()}`;
  at("v-pictures").replaceChildren();
  at("v-facts").replaceChildren();
  decidedWords();
  const row = await details(record).catch(() => null);
  if (grid.view[viewer.position] !== record || !row) return;
  at("v-pictures").replaceChildren(...row.pictures.map((picture) => drawn(record, picture, row.ocr)));
  if (!row.pictures.length) at("v-pictures").textContent = say("noPicture");
  at("v-pictures").scrollTop = 0;
  facts(record, row);
}

function drawn(record, picture, lines) {
  const box = document.createElement("div");
  box.className = "picture";
  if (picture.problem) { box.textContent = picture.problem; return box; }
  const image = new Image();
  image.src = pictureUrl(record, picture);
  image.alt = INDEX.id[record];
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const words = wordsOf(at("f-search").value);
  svg.setAttribute("viewBox", `0 0 ${picture.width} ${picture.height}`);
  for (const [number, left, top, right, bottom, text, score] of lines) {
    if (number !== picture.number) continue;
    const shape = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [name, value] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top })) shape.setAttribute(name, Math.max(0, value));
    if (words.some((word) => fold(text).includes(word))) shape.classList.add("found");
    if (typeof score === "number" && score < 0.8) shape.classList.add("weak");
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = typeof score === "number" ? `${text} (${score.toFixed(2)})` : text;
    shape.append(title);
    svg.append(shape);
  }
  svg.classList.toggle("off", !boxesShown);
  box.append(image, svg);
  return box;
}

function fact(name, value) {
  const term = document.createElement("dt"), text = document.createElement("dd");
  term.textContent = say(name);
  text.textContent = value;
  at("v-facts").append(term, text);
}

function facts(record, row) {
  fact("label", labelOf(record));
  const about = INDEX.labels[INDEX.label[record]]?.about;
  if (about) at("v-facts").lastChild.title = about;
  const predicted = INDEX.predicted[record], chance = INDEX.probability[record];
  if (predicted >= 0) fact("predicted", INDEX.labels[predicted].name + (chance === null ? "" : ` ${(chance * 100).toFixed(1)}%`));
  if (INDEX.proposal[record] >= 0) fact("proposal", INDEX.labels[INDEX.proposal[record]].name);
  const tags = INDEX.tag_names.filter((name, number) => INDEX.tags[record] & (1 << number)).map((name) => say(name));
  if (tags.length) fact("finding", tags.join(", "));
  fact("split", say(INDEX.split_names[INDEX.split[record]]));
  for (const [name, value] of row.facts) fact(name, value);
  if (row.probabilities.length) fact("probabilities", row.probabilities.map(([name, value]) => `${name} ${(value * 100).toFixed(1)}%`).join("\n"));
  if (row.ocr.length) fact("ocr", row.ocr.map((line) => line[5]).join("\n"));
  if (row.prompt || (INDEX.prompt[0] && !row.is_whole_prompt)) prompt(row);
  markWords(at("v-facts"), wordsOf(at("f-search").value));
}

// Folded away: most of it is the same for all records.
function prompt(row) {
  const [head, tail] = row.is_whole_prompt ? ["", ""] : INDEX.prompt, whole = head + row.prompt + tail;
  fact("prompt", "");
  const box = document.createElement("details"), lead = document.createElement("summary");
  lead.textContent = say("characters", { n: [...whole].length.toLocaleString() });
  box.append(lead, whole);
  at("v-facts").lastChild.append(box);
}

function decidedWords() {
  const record = grid.view[viewer.position], one = state.decided.get(record);
  const words = !one ? "" : one.action === "relabel"
    ? say("change", { old: labelOf(record), new: INDEX.labels[one.label].name }) : say(one.action);
  at("v-decided").textContent = words;
  at("v-decided").dataset.action = one?.action ?? "";
  at("v-take").hidden = !INDEX.relabels || INDEX.proposal[record] < 0;
}

function step(by) {
  const position = Math.max(0, Math.min(grid.view.length - 1, viewer.position + by));
  grid.focus = position;
  grid.move(0);
  if (position !== viewer.position) look(position); else decidedWords();
}

function boxes() {
  boxesShown = !boxesShown;
  for (const svg of document.querySelectorAll("#v-pictures svg")) svg.classList.toggle("off", !boxesShown);
}

function download() {
  // Some programs end a line at these signs, which JSON takes as they are.
  const text = state.lines().map((line) => `${JSON.stringify(line)}\n`).join("")
    .replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/jsonl" }));
  link.download = "overrides.jsonl";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// Keyboard

const KEYS = { a: "accept", p: "take", r: "relabel", d: "drop", s: "skip", u: "undo" };
function press(event) {
  if (at("relabel").open) {
    if (event.target !== at("new-label") && event.target !== at("why")) return;
    const moves = { ArrowDown: 1, ArrowUp: -1 };
    if (event.isComposing) return;
    if (event.key in moves) pick(moves[event.key]); else if (event.key === "Enter") take(); else return;
    event.preventDefault();
    return;
  }
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape" || (event.key === "Enter" && event.target.matches("input"))) event.target.blur();
    return;
  }
  const isView = at("viewer").open, key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key === "z" && (event.ctrlKey || event.metaKey)) { act("undo", [grid.view[at("viewer").open ? viewer.position : grid.focus]]); event.preventDefault(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || at("help").open) return;
  const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: isView ? 1 : grid.columns, ArrowUp: isView ? -1 : -grid.columns, j: 1, k: -1,
    PageDown: isView ? 1 : grid.columns * 3, PageUp: isView ? -1 : -grid.columns * 3, Home: -9e9, End: 9e9 };
  const current = grid.view[isView ? viewer.position : grid.focus];
  if (key in moves) { if (isView) step(moves[key]); else grid.move(moves[key]); }
  else if (key in KEYS) act(KEYS[key], event.shiftKey && group ? [...grid.view] : current === undefined ? [] : [current]);
  else if (key === "b") boxes();
  else if (key === "/") at("f-search").focus();
  else if (key === "?") at("help").showModal();
  else if (key === "Enter" && !isView && !event.target.matches("button")) look(grid.focus);
  else return;
  event.preventDefault();
}

function start(index) {
  INDEX = index;
  state = new State(index);
  grid = new Grid(at("grid"), state, look);
  setUp();
  state.listeners.push(progress);
  filter();
  progress();
  for (const id of ["f-label", "f-tag", "f-split", "f-state", "f-group"]) at(id).addEventListener("change", filter);
  let typing = 0;
  at("f-search").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(filter, 120); });
  at("who").addEventListener("input", () => state.name(at("who").value));
  at("save").addEventListener("click", download);
  at("new-label").addEventListener("input", suggest);
  at("help-open").addEventListener("click", () => at("help").showModal());
  at("filters-open").addEventListener("click", () => document.body.classList.toggle("filters"));
  at("viewer").addEventListener("close", () => at(state.who ? "grid" : "who").focus());
  for (const button of document.querySelectorAll("[data-do]")) {
    button.addEventListener("click", () => {
      const isAll = button.closest("#group-bar") !== null, current = grid.view[viewer.position];
      const what = button.dataset.do;
      if (what === "previous") step(-1); else if (what === "next") step(1); else if (what === "boxes") boxes();
      else if (what === "close") button.closest("dialog").close();
      else act(what, isAll ? [...grid.view] : current === undefined ? [] : [current]);
    });
  }
  addEventListener("keydown", press);
  state.connect();
  document.body.dataset.ready = "1";
}

globalThis.datakitIndex = start;
if (at("index")) start(JSON.parse(at("index").textContent));
