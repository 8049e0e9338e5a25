// The text lines that can be seen: [{text, box}], boxes in pixels of the picture, in the order of the document.
// A character counts when its middle is inside the picture and nothing opaque lies over it; scrims let clicks through.
([width, height, scale]) => {
  const range = document.createRange();
  const seen = (node, rect) => {
    if (rect.width < 1 || rect.height < 1) return false;
    const x = (rect.left + rect.right) / 2, y = (rect.top + rect.bottom) / 2;
    if (x < 0 || y < 0 || x >= width || y >= height) return false;
    if (Math.min(rect.bottom, height) - rect.top < 0.75 * rect.height) return false;
    const top = document.elementFromPoint(x, y);
    return top !== null && (top === node.parentElement || node.parentElement.contains(top));
  };
  const blockOf = (node) => {
    let element = node.parentElement;
    while (getComputedStyle(element).display === "inline") element = element.parentElement;
    return element;
  };
  const pieces = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (!node.data.trim() || node.parentElement.closest("style")) continue;
    const block = blockOf(node);
    let piece = null;
    let at = 0;
    for (const sign of node.data) {
      range.setStart(node, at);
      at += sign.length;
      range.setEnd(node, at);
      const rect = range.getClientRects()[0];
      if (!rect || (sign.trim() && !seen(node, rect))) { piece = null; continue; }
      if (!sign.trim() && piece === null) continue;
      const last = pieces[pieces.length - 1];
      const joins = last && last.block === block && Math.abs(last.middle - (rect.top + rect.bottom) / 2) < 0.45 * rect.height
        && rect.left - last.right < 0.6 * rect.height && rect.left > last.right - 2;
      if (piece === null && joins) {
        piece = last;
        if (rect.left - last.right > 0.12 * rect.height) piece.text += " ";
      }
      if (piece !== null && Math.abs(piece.middle - (rect.top + rect.bottom) / 2) > 0.6 * rect.height) piece = null;
      if (piece === null) {
        if (!sign.trim()) continue;
        piece = {text: "", block, left: rect.left, top: rect.top, right: rect.right, bottom: rect.bottom, middle: (rect.top + rect.bottom) / 2};
        pieces.push(piece);
      }
      piece.text += sign.trim() ? sign : " ";
      piece.middle = (rect.top + rect.bottom) / 2;  // of its last sign, so that a tilted line stays one
      if (sign.trim()) {
        piece.left = Math.min(piece.left, rect.left);
        piece.right = Math.max(piece.right, rect.right);
        piece.top = Math.min(piece.top, rect.top);
        piece.bottom = Math.max(piece.bottom, rect.bottom);
      }
    }
  }
  const px = (value, most) => Math.round(Math.min(Math.max(value, 0), most) * scale);
  return pieces.filter((piece) => piece.text.trim()).map((piece) => ({
    text: piece.text.trim(),
    box: [px(piece.left, width), px(piece.top, height), px(piece.right, width), px(piece.bottom, height)],
  }));
}
