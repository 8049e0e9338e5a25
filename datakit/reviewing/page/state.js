"use strict";
// What is decided, where it is kept, and what goes into overrides.jsonl.

const at = (id) => document.getElementById(id);
const say = (name, values = {}) =>
  Object.entries(values).reduce((text, [key, value]) => text.replace(`{${key}}`, value), INDEX.words[name] ?? name);

let INDEX = null;
const CODES = { accept: "a", relabel: "r", drop: "d", skip: "s" };
const ACTIONS = { a: "accept", r: "relabel", d: "drop", s: "skip" };

class State {
  constructor(index) {
    this.index = index;
    this.key = `datakit-review:${index.digest}`;
    this.place = new Map(index.id.map((id, number) => [id, number]));
    this.decided = new Map();  // number of the record -> {action, label, who, time, why}
    this.kept = {};            // decisions about records that this page does not show: they stay as they are
    this.history = [];
    this.who = localStorage.getItem("datakit-review:who") ?? "";
    this.listeners = [];
    this.server = null;
    this.waiting = new Set();
    this.text = null;          // what the browser's storage held when it was last read or written
    this.unsaved = new Set();  // records that were decided in this tab since
    this.isFull = false;
    this.load();
    addEventListener("pagehide", () => this.store());
    addEventListener("storage", (event) => { if (event.key === this.key) { this.load(); this.changed(); } });
  }

  // Takes what the storage holds, another tab's decisions too, and keeps what this one has not written yet.
  load() {
    const text = localStorage.getItem(this.key);
    if (text === this.text) return;
    let kept = null;
    try { kept = JSON.parse(text); } catch { kept = null; }
    if (!kept || kept.version !== 1) return;
    this.text = text;
    const own = [...this.unsaved].map((record) => [record, this.decided.get(record), this.waiting.has(record)]);
    const labels = new Map(this.index.labels.map((label, number) => [label.name, number]));
    this.decided.clear();
    this.kept = {};
    for (const [id, [code, label, seconds, who, why]] of Object.entries(kept.decisions)) {
      const number = this.place.get(id);
      const name = label < 0 ? -1 : labels.get(kept.labels[label]);
      if (number === undefined || name === undefined) {
        this.kept[id] = [code, label < 0 ? null : kept.labels[label], seconds, kept.who[who], why];
      } else {
        this.decided.set(number, { action: ACTIONS[code], label: name, who: kept.who[who], time: seconds, why: why ?? "" });
      }
    }
    this.waiting = new Set((kept.waiting ?? []).map((id) => this.place.get(id)).filter((number) => number !== undefined));
    for (const [record, one, waits] of own) {
      if (one) this.decided.set(record, one); else this.decided.delete(record);
      if (waits) this.waiting.add(record); else this.waiting.delete(record);
    }
  }

  store() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.load();
    const labels = new Map(), people = new Map(), decisions = {};
    const number = (map, text) => { if (!map.has(text)) map.set(text, map.size); return map.get(text); };
    const put = (id, code, label, seconds, who, why) => {
      const row = [code, label === null ? -1 : number(labels, label), seconds, number(people, who)];
      decisions[id] = why ? [...row, why] : row;
    };
    for (const [record, one] of this.decided) {
      const label = one.label < 0 ? null : this.index.labels[one.label].name;
      put(this.index.id[record], CODES[one.action], label, one.time, one.who, one.why);
    }
    for (const [id, row] of Object.entries(this.kept)) put(id, ...row);
    const waiting = [...this.waiting].map((record) => this.index.id[record]);
    const kept = { version: 1, labels: [...labels.keys()], who: [...people.keys()], decisions, waiting };
    const text = JSON.stringify(kept);
    try {
      localStorage.setItem(this.key, text);
      this.text = text;
      this.unsaved.clear();
      this.isFull = false;
    } catch { this.isFull = true; }
  }

  soon() { if (!this.timer) this.timer = setTimeout(() => { this.store(); this.changed(); }, 150); }

  changed() { for (const listener of this.listeners) listener(); }

  name(who) {
    this.who = who.trim().slice(0, 200);
    localStorage.setItem("datakit-review:who", this.who);
  }

  // `labelFor` gives each record its new label.
  decide(records, action, labelFor = () => -1, why = "") {
    const before = records.map((record) => [record, this.decided.get(record)]);
    const time = Math.floor(Date.now() / 1000);
    for (const record of records) {
      const label = labelFor(record), isSame = action === "relabel" && label === this.index.label[record];
      this.decided.set(record, isSame
        ? { action: "accept", label: -1, who: this.who, time, why }
        : { action, label: action === "relabel" ? label : -1, who: this.who, time, why });
    }
    this.history.push(before);
    this.pass(records);
  }

  // Takes back the last decision; after a reload, what is decided about the record at hand.
  undo(record) {
    const before = this.history.pop() ?? (this.decided.has(record) ? [[record, undefined]] : []);
    for (const [record, one] of before) {
      if (one) this.decided.set(record, one); else this.decided.delete(record);
    }
    const records = before.map(([record]) => record);
    this.pass(records);
    return records;
  }

  pass(records) {
    records.forEach((record) => this.unsaved.add(record));
    if (this.server) { records.forEach((record) => this.waiting.add(record)); this.send(); }
    this.soon();
    this.changed();
  }

  line(record) {
    const one = this.decided.get(record), index = this.index;
    if (!one || one.action === "skip") return null;
    const old = index.label[record] >= 0 ? index.labels[index.label[record]].name : index.written[record] ?? null;
    const line = { id: index.id[record], judged: index.judged[record], action: one.action };
    if (old !== null) line.old = old;
    if (one.action === "relabel") line.new = index.labels[one.label].name;
    line.who = one.who;
    line.when = new Date(one.time * 1000).toISOString();
    if (one.why) line.why = one.why;
    line.build = index.build;
    return line;
  }

  lines() {
    const records = [...this.decided.keys()].sort((left, right) => left - right);
    return records.map((record) => this.line(record)).filter((line) => line !== null);
  }

  count() {
    let count = 0;
    for (const one of this.decided.values()) if (one.action !== "skip") count += 1;
    return count;
  }

  // The server keeps the file; what it has not answered for waits here, in the browser's storage too.
  async connect() {
    if (!location.protocol.startsWith("http")) return;
    let answer = null;
    try {
      const reply = await fetch("state", { cache: "no-store" });
      if (!reply.ok) return;
      answer = await reply.json();
    } catch { return; }
    this.server = answer;
    const labels = new Map(this.index.labels.map((label, number) => [label.name, number]));
    for (const [record, one] of [...this.decided]) {
      if (one.action === "skip" || this.waiting.has(record)) continue;
      this.decided.delete(record);
      this.unsaved.add(record);
    }
    for (const line of answer.lines) {
      const record = this.place.get(line.id);
      if (record === undefined || this.waiting.has(record)) continue;
      const label = line.action === "relabel" ? labels.get(line.new) ?? -1 : -1;
      const time = Math.floor(Date.parse(line.when ?? 0) / 1000) || 0;
      this.decided.set(record, { action: line.action, label, who: line.who ?? "", time, why: line.why ?? "" });
      this.unsaved.add(record);
    }
    this.changed();
    this.send();
  }

  async send() {
    if (!this.server || this.isSending || !this.waiting.size) return;
    this.isSending = true;
    const records = [...this.waiting].slice(0, 2000);
    const body = JSON.stringify({ decisions: records.map((record) => [this.index.id[record], this.line(record), this.who]) });
    let isWritten = false;
    try {
      const reply = await fetch("decisions", {
        method: "POST", body, headers: { "Content-Type": "application/json", "X-Datakit-Review": "1" },
      });
      isWritten = reply.ok;
    } catch { isWritten = false; }
    this.isSending = false;
    this.isCut = !isWritten;
    if (isWritten) {
      const sent = new Map(JSON.parse(body).decisions.map(([id, line]) => [id, line]));
      for (const record of records) {
        if (JSON.stringify(this.line(record)) === JSON.stringify(sent.get(this.index.id[record]))) this.waiting.delete(record);
      }
      this.soon();
    }
    this.changed();
    if (this.waiting.size) setTimeout(() => this.send(), isWritten ? 0 : 2000);
  }
}

// Details and pictures: in the page itself, or in files beside it that are loaded when they are wanted.
const loading = new Map(), waitingFor = new Map();
globalThis.datakitChunk = (number, rows) => { waitingFor.get(number)?.(rows); waitingFor.delete(number); };

function chunk(number) {
  if (loading.has(number)) return loading.get(number);
  if (loading.size > 40) loading.delete(loading.keys().next().value);
  const inline = at(`chunk-${number}`);
  const rows = inline
    ? Promise.resolve(JSON.parse(inline.textContent))
    : fromScript(waitingFor, number, `data/${String(number).padStart(5, "0")}.js`);
  loading.set(number, rows);
  rows.catch(() => loading.delete(number));
  return rows;
}

async function details(record) {
  return (await chunk(Math.floor(record / INDEX.chunk)))[record % INDEX.chunk];
}

function pictureUrl(record, picture) {
  const inline = at(`picture-${record}-${picture.number}`);
  return inline ? `data:image/${picture.type};base64,${inline.textContent}` : picture.file;
}

const sheets = new Map();
function thumbUrl(record) {
  if (!INDEX.thumbs[record]) return "";
  const sheet = Math.floor(record / INDEX.chunk), inline = at(`thumbs-${sheet}`);
  if (!inline) {
    const name = String(record).padStart(6, "0");
    return `thumbs/${name.slice(0, -3)}/${name}.jpg`;
  }
  if (!sheets.has(sheet)) sheets.set(sheet, JSON.parse(inline.textContent));
  return `data:image/jpeg;base64,${sheets.get(sheet)[record % INDEX.chunk]}`;
}
