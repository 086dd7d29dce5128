// The log in the page: the newest rows at once, the older ones while nothing else comes, and none while nobody sees it.
const MAX = 20000, CHUNK = 100, TAIL = 2, CALM_MS = 200, BUDGET_MS = 5, FRAME_CHUNKS = 12;
const el = (tag, props = {}, ...kids) => {
  const node = document.createElement(tag);
  for (const [k, v] of Object.entries(props)) k in node && k !== "role" ? node[k] = v : node.setAttribute(k, v);
  node.append(...kids);
  return node;
};
const put = (node, name, value) => { if (node[name] !== value) node[name] = value; };
const set = (node, text) => put(node, "textContent", text);
// A row's text as nodes: its colours (SGR), every other escape dropped.
const SGR = /\x1b(?:\[([0-9;:]*)m)?/;
function paint(text, into) {
  if (!text.includes("\x1b")) { into.push(text); return; }
  let colour = "", bold = "";
  text.split(SGR).forEach((piece, i) => {
    if (i % 2 === 0) {
      if (piece) into.push(colour || bold ? el("span", {className: colour + bold}, piece) : piece);
      return;
    }
    if (piece === undefined) return;
    const codes = piece.split(/[;:]/).map(Number);
    for (let k = 0; k < codes.length; k++) {
      const c = codes[k];
      if (c === 0) colour = bold = "";
      else if (c === 1) bold = " b";
      else if (c === 22) bold = "";
      else if (c === 39) colour = "";
      else if (c >= 30 && c <= 37) colour = "f" + (c - 30);
      else if (c >= 90 && c <= 97) colour = "f" + (c - 90);
      else if (c === 38 || c === 48) {
        if (c === 38 && codes[k + 1] === 5 && codes[k + 2] < 16) colour = "f" + codes[k + 2] % 8;
        k += codes[k + 1] === 5 ? 2 : 4;
      }
    }
  });
}
const bare = text => text.replace(/\x1b(?:\[[0-9;:]*m)?/g, "");

// The box is laid out from its bottom (column-reverse): it stays at the newest row, and older ones may come in above,
// with no script that reads a position, which would lay the page out at once.
class Log {
  constructor(pane, said) {
    this.pane = pane; this.said = said; this.version = pane.version; this.follow = true; this.query = "";
    this.rows = el("div");
    this.box = el("div", {className: "log", role: "log", tabIndex: 0, ariaLabel: "Build log", ariaLive: "off"}, this.rows);
    this.hits = el("div", {className: "log found", role: "log", tabIndex: 0, ariaLabel: "Lines found", ariaLive: "off", hidden: true});
    this.box.onscroll = () => {
      const up = this.box.scrollTop < -30, back = this.box.scrollTop >= this.scrolled;
      if (up && this.follow && !back) this.setFollow(false);
      else if (!up && !this.follow && back) this.setFollow(true);
      this.scrolled = this.box.scrollTop;
    };
    this.wipe();
  }
  wipe() {  // chunks low to high - 1 are drawn
    this.version = this.pane.version; this.low = this.high = 0; this.cut = -1; this.dirty = new Set(); this.scrolled = 0;
    this.rows.replaceChildren();
  }
  touch(id) { this.dirty.add(Math.floor(id / CHUNK)); this.came = performance.now(); }
  setFollow(on) {
    if (this.follow === on) return;
    this.follow = on;
    if (on) this.box.scrollTop = this.scrolled = 0;
    this.said(on);
  }
  // Draw some; tell in how many milliseconds there is more to do: 0 for the next frame, null for never.
  draw() {
    const p = this.pane, began = performance.now();
    if (this.version !== p.version) this.wipe();
    put(this.box, "className", p.total ? "log" : "log none");
    if (this.query) { this.find(); return null; }
    const end = Math.ceil(p.total / CHUNK), least = Math.floor(p.first / CHUNK);
    const calm = !p.live || began - (this.came || 0) > CALM_MS;
    while (this.low < least && this.low < this.high) { this.rows.firstChild.remove(); this.low++; }
    if (this.low === this.high || this.follow && end - this.high > TAIL) {
      this.rows.replaceChildren();
      this.low = this.high = Math.max(least, end - TAIL);
    }
    let left = FRAME_CHUNKS;
    const goes = () => left-- > 0 && performance.now() - began < BUDGET_MS;
    if (p.first % CHUNK && this.cut !== p.first && this.low === least) { this.cut = p.first; this.dirty.add(least); }
    for (const k of this.dirty) {
      if (k < this.low || k >= this.high) this.dirty.delete(k);
      else if (goes()) { this.dirty.delete(k); this.fill(this.rows.childNodes[k - this.low], k); }
    }
    if (this.follow) while (this.high < end && goes()) this.rows.append(this.fill(el("div"), this.high++));
    else if (calm && this.high < end) this.below(end, goes);
    if (calm) {
      const older = [];
      while (this.low > least && goes()) older.unshift(this.fill(el("div"), --this.low));
      this.rows.prepend(...older);
    }
    const more = this.dirty.size || this.low > least || this.high < end;
    return !more ? null : calm || this.follow && (this.dirty.size || this.high < end) ? 0 : CALM_MS;
  }
  below(end, goes) {  // who reads further up keeps the place while rows come in at the bottom
    const was = this.box.scrollHeight;
    while (this.high < end && goes()) this.rows.append(this.fill(el("div"), this.high++));
    this.box.scrollTop = this.scrolled = this.box.scrollTop - (this.box.scrollHeight - was);
  }
  fill(node, k) {
    const p = this.pane, from = Math.max(k * CHUNK, p.first), to = Math.min((k + 1) * CHUNK, p.total), kids = [];
    let text = "";
    for (let id = from; id < to; id++) {
      const row = p.rows[id - p.first].text;
      if (!row.includes("\x1b")) { text += row + "\n"; continue; }
      const parts = [];
      paint(row, parts);
      for (const part of parts) if (typeof part === "string") text += part; else { kids.push(text, part); text = ""; }
      text += "\n";
    }
    node.replaceChildren(...kids, text);
    return node;
  }
  search(query) {
    this.query = query.toLowerCase();
    this.hits.hidden = !this.query; this.box.hidden = !!this.query;
    this.find();
  }
  find() {
    if (!this.query || performance.now() - (this.foundAt || 0) < 300 && this.asked === this.query) return;
    this.foundAt = performance.now(); this.asked = this.query;
    const out = [];
    let hits = 0;
    for (const row of this.pane.rows) {
      const text = bare(row.text), at = text.toLowerCase().indexOf(this.query);
      if (at < 0) continue;
      if (++hits > 1000) continue;
      out.push(el("div", {}, row.id + 1 + ": " + text.slice(0, at), el("mark", {}, text.slice(at, at + this.query.length)), text.slice(at + this.query.length)));
    }
    this.hits.replaceChildren(el("b", {}, hits + (hits === 1 ? " line" : " lines") + (hits > 1000 ? ", the first 1,000 here" : "")), ...out);
  }
}
