"use strict";
// Search in ids, labels and whatever was read, asked and said of a record. Texts are loaded when somebody
// searches, and looked through a few milliseconds at a time, so that the page stays fluid.

const SLICE_MS = 6;
const fold = (text) => text.normalize("NFKC").toLowerCase();
const textsFor = new Map(), textBlocks = new Map();
globalThis.datakitTexts = (number, rows) => { textsFor.get(number)?.(rows); textsFor.delete(number); };

function textBlock(number) {
  if (textBlocks.has(number)) return textBlocks.get(number);
  const inline = at(`texts-${number}`);
  const rows = inline
    ? Promise.resolve(JSON.parse(inline.textContent))
    : fromScript(textsFor, number, `data/texts-${String(number).padStart(5, "0")}.js`);
  textBlocks.set(number, rows);
  rows.catch(() => textBlocks.delete(number));
  return rows;
}

// Rows that a file of the folder calls back with.
function fromScript(waiting, number, file) {
  return new Promise((resolve, reject) => {
    waiting.set(number, resolve);
    const script = document.createElement("script");
    script.src = file;
    script.onload = () => script.remove();
    script.onerror = () => { script.remove(); reject(new Error(file)); };
    document.head.append(script);
  });
}

const wordsOf = (text) => fold(text).split(/\s+/).filter(Boolean);

// Pinyin is typed with or without the apostrophe between its syllables.
const bare = (word) => word.replaceAll(/['’‘ʼ`]/g, "") || word;

// Which labels each word may mean: by name, alias, pinyin or initials.
function namedBy(words) {
  return words.map((word) => new Set(INDEX.labels.flatMap((label, number) =>
    label.typed.some((form) => form.includes(word) || form.includes(bare(word))) ? [number] : [])));
}

let searches = 0;
const pause = () => new Promise((go) => setTimeout(go));

// Hands every record of the pool that has all words to `found`, in order; false where another search came.
async function search(pool, text, found, progress) {
  const own = ++searches, words = wordsOf(text), named = namedBy(words);
  let began = performance.now(), block = -1, texts = [];
  for (let place = 0; place < pool.length; place += 1) {
    const record = pool[place], number = Math.floor(record / INDEX.block);
    if (number !== block) {
      block = number;
      texts = await textBlock(number).catch(() => []);
      if (own !== searches) return false;
    }
    const id = fold(INDEX.id[record]), body = texts[record % INDEX.block] ?? "";
    if (words.every((word, at) => named[at].has(INDEX.label[record]) || id.includes(word) || body.includes(word))) found(record);
    if (performance.now() - began > SLICE_MS) {
      progress(place + 1);
      await pause();
      if (own !== searches) return false;
      began = performance.now();
    }
  }
  return true;
}

// Shows where the words stand that were searched, in the view of one record.
function markWords(root, words) {
  if (!globalThis.Highlight) return;
  CSS.highlights.delete("found");
  const ranges = [], walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = node.data.toLowerCase();
    for (const word of words) {
      for (let start = text.indexOf(word); start >= 0 && ranges.length < 500; start = text.indexOf(word, start + word.length)) {
        const range = new Range();
        range.setStart(node, start);
        range.setEnd(node, Math.min(start + word.length, node.length));
        ranges.push(range);
      }
    }
  }
  if (ranges.length) CSS.highlights.set("found", new Highlight(...ranges));
}
