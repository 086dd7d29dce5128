// The pane in the page. It mounts itself, in a shadow root, on every element that has the record's class, so that the
// notebook holds nothing but the record. All text goes in as text nodes; nothing here reads markup.
const MAX = 20000, CHUNK = 50, FRAME_CHUNKS = 8, STEP_LINES = 2000;
const MARKS = {done: "✓", cached: "≡", failed: "✗", cancelled: "–", running: "▸", waiting: "·"};
const CSS = `
:host{display:block}
.pane{font:var(--jp-ui-font-size1,13px)/1.5 var(--jp-ui-font-family,system-ui,sans-serif);color:var(--jp-ui-font-color1,CanvasText);
background:var(--jp-layout-color1,Canvas);border:1px solid var(--jp-border-color2,#8886);border-radius:4px;padding:8px 10px;
box-sizing:border-box;max-width:100%;overflow-wrap:anywhere}
*{box-sizing:border-box}[hidden]{display:none!important}
.head{display:flex;flex-wrap:wrap;gap:2px 10px;align-items:center;min-height:28px}
.title{font-weight:600}.dim,.time{color:var(--jp-ui-font-color2,GrayText)}.time{font-variant-numeric:tabular-nums}
.btns{margin-left:auto;display:flex;gap:6px;flex-wrap:wrap}
button,input{font:inherit;color:inherit;background:var(--jp-layout-color2,ButtonFace);border:1px solid var(--jp-border-color1,#8888);
border-radius:3px;padding:1px 8px;min-height:24px}input{flex:1 1 8em;min-width:6em;background:var(--jp-layout-color0,Field)}
button:focus-visible,input:focus-visible,summary:focus-visible,.log:focus-visible{outline:2px solid var(--jp-brand-color1,Highlight);outline-offset:1px}
button:disabled{opacity:.6}
.bar{height:6px;border-radius:3px;background:var(--jp-layout-color3,#8884);overflow:hidden;margin:6px 0}
.bar i{display:block;height:100%;width:0;background:var(--jp-brand-color1,#1976d2)}
.bar.on i{transition:width .2s linear}.bar.unknown i{width:30%;animation:go 1.6s infinite ease-in-out}
.bar.done i{background:var(--jp-success-color1,#388e3c)}.bar.failed i{background:var(--jp-error-color1,#d32f2f)}
.bar.cancelled i{background:var(--jp-warn-color1,#f57c00)}
@keyframes go{0%{margin-left:-30%}100%{margin-left:100%}}
@media (prefers-reduced-motion:reduce){.bar i{animation:none!important;transition:none!important}}
.err{border-left:4px solid var(--jp-error-color1,#d32f2f);padding:2px 8px;margin:6px 0}
.warn{border-left:4px solid var(--jp-warn-color1,#f57c00);padding:0 8px;margin:4px 0}
code,pre,.log,.steps{font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px)}
code{background:var(--jp-layout-color2,#8882);padding:1px 4px;border-radius:3px}
pre{margin:2px 0 4px 18px;white-space:pre-wrap;max-height:18em;overflow:auto}
.steps{list-style:none;margin:4px 0;padding:0;max-height:15em;overflow:auto}
.failed .steps{max-height:26em}.steps summary{cursor:pointer;list-style:none;display:flex;gap:8px}
.steps summary::-webkit-details-marker{display:none}
.steps .t{flex:1;min-width:0;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.steps .d{color:var(--jp-ui-font-color2,GrayText);font-variant-numeric:tabular-nums;white-space:nowrap}
.s-failed>summary{color:var(--jp-error-color1,#d32f2f)}.s-running>summary{font-weight:600}
.moves{min-height:1.5em}.moves ul{list-style:none;margin:0;padding:0 0 0 18px;max-height:11em;overflow:auto}
.tools{display:flex;flex-wrap:wrap;gap:6px;align-items:center;margin:4px 0}
.log{height:16em;overflow:auto;overflow-anchor:none;background:var(--jp-layout-color0,Field);border:1px solid var(--jp-border-color3,#8884);padding:4px 6px;
line-height:1.35;white-space:pre-wrap}
.done .log,.failed .log,.cancelled .log{height:auto;min-height:1.5em;max-height:16em}.log:empty{display:none}.running .log:empty,.waiting .log:empty{display:block}
.log div{content-visibility:auto;contain-intrinsic-size:auto 877px}
mark{background:var(--jp-search-selected-match-background-color,#fd3);color:var(--jp-search-selected-match-color,#000)}
.f1{color:#d33}.f2{color:#2a9d4a}.f3{color:#b58900}.f4{color:#3b82f6}.f5{color:#b45fcf}.f6{color:#1f9aa8}.f7,.f0{color:#888}.b{font-weight:700}`;
const el = (tag, props = {}, ...kids) => {
  const node = document.createElement(tag);
  for (const [k, v] of Object.entries(props)) k in node && k !== "role" ? node[k] = v : node.setAttribute(k, v);
  node.append(...kids);
  return node;
};
const set = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const took = s => s == null ? "" : s < 60 ? s.toFixed(1) + " s" : Math.floor(s / 60) + " min " + Math.floor(s % 60) + " s";
const size = n => {
  for (const unit of ["bytes", "kB", "MB", "GB"]) {
    if (n < 1000 || unit === "GB") return (n >= 10 || unit === "bytes" ? Math.round(n) : n.toFixed(1)) + " " + unit;
    n /= 1000;
  }
};
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

class Pane {
  constructor(model) {
    this.model = model;
    this.views = new Set();
    this.gone = false;
    this.mark = model.get("mark");
    const boot = model.get("boot");
    this.turn = boot.turn;
    this.clear();
    this.take(boot.state);
    this.hear = (message, buffers) => this.message(message, buffers);
    model.on("msg:custom", this.hear);
    this.live = () => this.alive();
    model.on("comm_live_update", this.live);
    this.observer = new MutationObserver(() => this.look());
    this.observer.observe(document.documentElement, {childList: true, subtree: true});
    this.found = document.getElementsByClassName(this.mark);
    this.look();
    this.ticker = setInterval(() => this.views.forEach(view => view.clock()), 500);
    this.say({do: "want", n: 0});
  }
  say(message) { this.model.send(message); }
  clear() {
    this.rows = []; this.first = 0; this.total = 0; this.next = 0; this.last = new Map(); this.held = new Map();
    this.ready = false; this.version = (this.version || 0) + 1;
  }
  async alive() {  // a kernel that is gone leaves the record; one that is back is asked for what it says now
    const held = await this.model.widget_manager.get_model(this.model.get("ident")).catch(() => null);
    const gone = !held || !held.comm_live;
    if (gone === this.gone) return;
    this.gone = gone;
    if (gone) [...this.views].forEach(view => view.drop());
    else { this.look(); this.say({do: "want", n: this.next}); }
  }
  look() {
    if (this.gone) return;
    for (const host of this.found) {  // where the record was replaced, its view moves over as it stands
      const lost = host.buildr ? null : [...this.views].find(view => !view.host.isConnected);
      if (lost) lost.adopt(host);
      else if (!host.buildr) new View(this, host);
    }
  }
  take(state) { this.state = state; this.at = performance.now(); this.views.forEach(view => view.head()); }
  message(m, buffers) {
    if (m.file !== undefined) return this.download(m, buffers);
    if (m.turn < this.turn) return;
    if (m.turn > this.turn) { this.turn = m.turn; this.clear(); this.ready = true; this.views.forEach(v => v.reset()); }
    if (m.state) this.take(m.state);
    if (m.first !== undefined) {
      this.ready = true;
      if (m.first !== null && m.first > this.next) this.next = m.first;
      this.catchUp();
    }
    if (m.batch) this.arrive(m.batch);
  }
  arrive(batch) {
    if (batch.n < this.next) return;
    this.held.set(batch.n, batch);
    this.catchUp();
    if (this.held.size && !this.asked) {
      this.asked = true;
      if (this.ready) this.say({do: "want", n: this.next});
      setTimeout(() => {  // nobody answers (an old kernel that is busy): go on with what is here
        this.asked = false;
        if (this.held.size) { this.ready = true; this.next = Math.min(...this.held.keys()); this.catchUp(); }
      }, 1500);
    }
  }
  catchUp() {
    for (let batch; (batch = this.held.get(this.next)); this.next++) { this.held.delete(this.next); this.apply(batch); }
    for (const n of this.held.keys()) if (n < this.next) this.held.delete(n);
  }
  apply(batch) {
    if (batch.before !== this.total) {
      this.rows = []; this.first = this.total = batch.before; this.last.clear(); this.version++;
    }
    for (const [step, join, count, text] of batch.runs) {
      const texts = count === 1 ? [text] : text.split("\n");
      texts.forEach((t, i) => {
        const before = i === 0 && join ? this.last.get(step) : null;
        if (before && before.id >= this.first) {
          before.text = join === 1 ? (before.text + t).slice(-4200) : t;
          this.views.forEach(view => view.touch(before.id));
        } else if (!(i === 0 && join)) {
          const row = {id: this.total++, step, text: t};
          this.rows.push(row); this.last.set(step, row);
          this.views.forEach(view => view.touch(row.id));
        }
      });
    }
    const over = this.rows.length - MAX;
    if (over > 0) { this.rows.splice(0, over); this.first += over; }
    this.views.forEach(view => view.wake());
  }
  download(m, buffers) {
    const job = this.file;
    if (!job || job.id !== m.file) return;
    job.parts[m.n] = buffers[0];
    if (!m.end) return;
    this.file = null;
    const stream = new Blob(job.parts).stream().pipeThrough(new DecompressionStream("gzip"));
    new Response(stream).blob().then(blob => {
      const link = el("a", {href: URL.createObjectURL(blob), download: this.state.title.replace(/[^\w.-]+/g, "-") + ".log"});
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
  }
  dispose() {
    this.model.off("msg:custom", this.hear);
    this.model.off("comm_live_update", this.live);
    this.observer.disconnect();
    clearInterval(this.ticker);
    [...this.views].forEach(view => view.drop());
  }
}

class View {
  constructor(pane, host) {
    this.pane = pane; this.host = host; host.buildr = this; this.chunks = new Map(); this.dirty = new Set(); this.steps = new Map();
    this.follow = true; this.query = ""; this.version = pane.version;
    this.root = host.shadowRoot || host.attachShadow({mode: "open"});
    this.build();
    pane.views.add(this);
    this.head();
    for (let id = pane.first; id < pane.total; id += CHUNK) this.dirty.add(Math.floor(id / CHUNK));
    if (pane.total) this.touch(pane.total - 1);
    this.wake();
  }
  button(name, does, props = {}) { return el("button", {type: "button", textContent: name, onclick: does, ...props}); }
  build() {
    const say = what => () => this.pane.say({do: what});
    const n = this.n = {
      mark: el("span", {ariaHidden: "true"}), title: el("span", {className: "title"}), builder: el("span", {className: "dim"}),
      said: el("span", {role: "status", ariaLive: "polite"}), time: el("span", {className: "time"}),
      cancel: this.button("Cancel", () => { this.n.cancel.disabled = true; this.pane.say({do: "cancel"}); }),
      publish: this.button("Publish", say("publish")), run: this.button("Run", say("run")),
      copyRef: this.button("Copy reference", () => copy(this.pane.state.result ? this.pane.state.result.image : this.pane.state.title, this.n.copyRef)),
      fill: el("i"), err: el("div", {className: "err", role: "alert"}), warn: el("div"), done: el("div"),
      list: el("ul", {className: "steps", role: "list", ariaLabel: "Steps"}),
      moveSum: el("summary"), moveList: el("ul"), count: el("span", {className: "dim"}), fold: el("div", {className: "dim"}),
      search: el("input", {type: "search", placeholder: "Search the log", ariaLabel: "Search the log", oninput: () => this.filter()}),
      pause: this.button("Pause", () => this.setFollow(!this.follow), {ariaPressed: "false"}),
      copyLog: this.button("Copy log", () => copy(this.pane.rows.map(row => bare(row.text)).join("\n") + "\n", this.n.copyLog)),
      download: this.button("Download", () => {
        this.pane.file = {id: String(Math.random()), parts: []};
        this.pane.say({do: "download", id: this.pane.file.id});
      }),
      log: el("div", {className: "log", role: "log", tabIndex: 0, ariaLabel: "Build log", ariaLive: "off"}),
      hits: el("div", {className: "log", role: "log", tabIndex: 0, ariaLabel: "Lines found", ariaLive: "off", hidden: true}),
    };
    n.log.onscroll = () => {
      const atEnd = n.log.scrollHeight - n.log.scrollTop - n.log.clientHeight < 30;
      if (!atEnd && this.follow && n.log.scrollTop < this.scrolled - 4) this.setFollow(false);
      else if (atEnd && !this.follow && n.log.scrollTop > this.scrolled) this.setFollow(true);
      this.scrolled = n.log.scrollTop;
    };
    this.scrolled = 0;
    n.bar = el("div", {className: "bar", role: "progressbar", ariaLabel: "Progress of the whole", ariaValueMin: "0", ariaValueMax: "100"}, n.fill);
    n.moves = el("details", {className: "moves"}, n.moveSum, n.moveList);
    n.summary = el("summary", {}, "Steps and log");
    n.body = el("details", {open: true}, n.summary, n.list, n.moves,
      el("div", {className: "tools"}, n.search, n.pause, n.copyLog, n.download, n.count), n.fold, n.log, n.hits);
    n.pane = el("section", {className: "pane", role: "region"},
      el("div", {className: "head"}, n.mark, n.title, n.builder, n.said, n.time, el("span", {className: "btns"}, n.cancel, n.publish, n.run, n.copyRef)),
      n.bar, n.err, n.done, n.warn, n.body);
    this.root.replaceChildren(el("style", {textContent: CSS}), n.pane);
  }
  reset() { this.n.body.open = true; this.steps.forEach(s => s.li.remove()); this.steps.clear(); this.ended = false; this.wipe(); this.n.cancel.disabled = false; }
  wipe() { this.version = this.pane.version; this.chunks.clear(); this.dirty.clear(); this.n.log.replaceChildren(); }
  head() {
    const n = this.n, s = this.pane.state, live = s.status === "running" || s.status === "waiting";
    n.pane.className = "pane " + s.status;
    n.pane.ariaLabel = "Build of " + s.title;
    set(n.mark, MARKS[s.status]); set(n.title, s.title); set(n.builder, s.builder); set(n.said, s.said);
    n.cancel.hidden = !s.can.cancel; n.publish.hidden = !s.can.publish; n.run.hidden = !s.can.run; n.copyRef.hidden = !s.result;
    const known = s.fraction !== null;
    n.bar.className = "bar " + s.status + (known && live ? " on" : "") + (!known && live ? " unknown" : "");
    if (known) { n.fill.style.width = s.fraction * 100 + "%"; n.bar.ariaValueNow = String(Math.round(s.fraction * 100)); }
    else { n.fill.style.width = live ? "" : "100%"; n.bar.removeAttribute("aria-valuenow"); }
    n.bar.ariaValueText = known ? Math.round(s.fraction * 100) + " percent" : "not known";
    this.clock(); this.error(s.error); this.result(s); this.drawSteps(s); this.drawMoves(s);
    const warnings = s.warnings.map(([text, hint]) => el("div", {className: "warn"}, "⚠ " + text + (hint ? " (" + hint + ")" : "")));
    if (n.warn.childElementCount !== warnings.length) n.warn.replaceChildren(...warnings);
    this.tally();
    if (!live && !this.ended) { this.ended = true; n.body.open = s.status !== "done" || this.pane.turn > 1; if (s.error) this.openStep(s.error.key); }
  }
  tally() {
    const all = this.pane.total;
    set(this.n.count, all ? all.toLocaleString("en") + (all === 1 ? " line" : " lines") : "");
  }
  clock() {
    const s = this.pane.state, live = s.status === "running" || s.status === "waiting";
    const now = s.elapsed + (live ? (performance.now() - this.pane.at) / 1000 : 0);
    set(this.n.time, took(now) + (live && s.left ? " · about " + took(s.left).replace(/\.\d/, "") + " left" : ""));
  }
  error(e) {
    const n = this.n;
    n.err.hidden = !e;
    const key = e ? JSON.stringify([e.text, e.hint, e.instead]) : "";
    if (!e || n.err.key === key) return;
    n.err.key = key;
    n.err.replaceChildren(el("div", {}, el("b", {}, e.kind), ": " + e.text));
    if (e.step) n.err.append(el("div", {}, "failing step: ", el("code", {}, e.step)));
    if (e.hint) n.err.append(el("div", {}, "hint: " + e.hint));
    if (e.instead) {
      const again = this.button("Copy line", () => copy(e.instead, again));
      n.err.append(el("div", {}, "use this line instead: ", el("code", {}, e.instead), " ", again));
    }
  }
  result(s) {
    const n = this.n, r = s.result;
    n.done.hidden = !r;
    if (!r) return set(n.summary, "Steps and log");
    const parts = [r.digest ? r.digest.slice(0, 19) + "…" : "", r.size, r.same ? "nothing had changed" : r.cached + " of " + r.steps + " steps cached",
      r.exit === null ? "" : "exit code " + r.exit].filter(Boolean).join(" · ");
    const push = r.pushed.length ? el("div", {}, "pushed: " + r.pushed.join(", ")) : "";
    const again = this.button("Copy command", () => copy(r.command, again));
    n.done.replaceChildren(el("div", {}, parts), push, el("div", {}, "run it: ", el("code", {}, r.command), " ", again));
    n.done.title = r.digest;
    set(n.summary, s.steps.length + s.more_steps + " steps and the log");
  }
  drawSteps(s) {
    const seen = new Set();
    for (const step of s.steps) {
      seen.add(step.key);
      let held = this.steps.get(step.key);
      if (!held) {
        const t = el("span", {className: "t"}), d = el("span", {className: "d"}), m = el("span", {ariaHidden: "true"}), pre = el("pre", {tabIndex: 0});
        const box = el("details", {ontoggle: () => this.drawStep(step.key)}, el("summary", {}, m, t, d), pre);
        held = {li: el("li", {}, box), box, t, d, m, pre};
        this.steps.set(step.key, held);
        const stick = this.n.list.scrollHeight - this.n.list.clientHeight;
        this.n.list.append(held.li);
        if (stick > 0) this.n.list.scrollTop = this.n.list.scrollHeight;
      }
      held.box.className = "s-" + step.status;
      set(held.m, MARKS[step.status]);
      set(held.t, (step.number ? "[" + step.number + "] " : "") + step.title);
      held.t.title = step.title;
      set(held.d, step.status === "done" ? took(step.took) : step.status + (step.took ? " " + took(step.took) : ""));
    }
    for (const [key, held] of this.steps) if (!seen.has(key)) { held.li.remove(); this.steps.delete(key); }
  }
  openStep(key) {
    const held = this.steps.get(key);
    if (held) { held.box.open = true; this.drawStep(key); held.pre.scrollTop = held.pre.scrollHeight; this.n.list.scrollTop = held.li.offsetTop - this.n.list.offsetTop; }
  }
  drawStep(key) {
    const held = this.steps.get(key);
    if (!held || !held.box.open) return;
    const s = this.pane.state;
    let lines = this.pane.rows.filter(row => row.step === key).slice(-STEP_LINES).map(row => bare(row.text));
    if (!lines.length && s.error && s.error.key === key) lines = s.error.tail;
    set(held.pre, lines.length ? lines.join("\n") : "no output");
    if (s.error && s.error.key === key) held.pre.scrollTop = held.pre.scrollHeight;
  }
  drawMoves(s) {
    const n = this.n;
    n.moves.style.visibility = s.moves.length ? "" : "hidden";
    if (!s.moves.length) return;
    const moving = s.moves.filter(m => m.status === "moving"), rate = moving.reduce((sum, m) => sum + m.rate, 0);
    const counts = s.moved.map(([verb, over, all]) => verb + ": " + over + " of " + all + (verb === "upload" ? "" : " layers")).join(" · ");
    set(n.moveSum, counts + (rate ? " · " + size(rate) + "/s" : ""));
    n.moveList.replaceChildren(...s.moves.map(m => el("li", {}, m.verb + " " + m.item + ": " + m.status +
      (m.now || m.of ? " " + size(m.status === "moving" ? m.now : m.of || m.now) + (m.status === "moving" && m.of ? " of " + size(m.of) : "") : "") + (m.rate ? " · " + size(m.rate) + "/s" : ""))));
  }
  touch(id) { this.dirty.add(Math.floor(id / CHUNK)); }
  wake() { if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw(); }); }
  draw() {
    const p = this.pane, log = this.n.log;
    if (this.version !== p.version) {
      this.wipe();
      for (let id = p.first; id < p.total; id += CHUNK) this.dirty.add(Math.floor(id / CHUNK));
      if (p.total) this.touch(p.total - 1);
    }
    const low = Math.floor(p.first / CHUNK);
    if (p.first % CHUNK && this.cut !== p.first) { this.cut = p.first; this.dirty.add(low); }
    for (const [k, node] of this.chunks) { if (k >= low) break; node.remove(); this.chunks.delete(k); }
    let left = FRAME_CHUNKS;
    for (const k of [...this.dirty].sort((a, b) => a - b)) {
      const from = Math.max(k * CHUNK, p.first), to = Math.min((k + 1) * CHUNK, p.total);
      if (to > from && left-- <= 0) break;
      this.dirty.delete(k);
      if (to <= from) continue;
      let node = this.chunks.get(k);
      if (!node) { node = el("div"); this.chunks.set(k, node); log.append(node); }
      const kids = [];
      for (let id = from; id < to; id++) { paint(p.rows[id - p.first].text, kids); kids.push("\n"); }
      const nodes = [];
      let text = "";
      for (const kid of kids) if (typeof kid === "string") text += kid; else { if (text) nodes.push(text); text = ""; nodes.push(kid); }
      node.replaceChildren(...nodes, text);
    }
    set(this.n.fold, p.first ? "… " + p.first.toLocaleString("en") + " lines above are folded; Download has them all" : "");
    if (this.follow) { log.scrollTop = 1e9; this.scrolled = log.scrollTop; }
    const running = p.state.steps.filter(step => step.status === "running" || step.status === "failed").map(step => step.key);
    if (performance.now() - (this.stepAt || 0) > 500) { this.stepAt = performance.now(); running.forEach(key => this.drawStep(key)); }
    this.tally();
    if (this.query) this.find();
    if (this.dirty.size) this.wake();
  }
  setFollow(on) {
    this.follow = on;
    set(this.n.pause, on ? "Pause" : "Follow");
    this.n.pause.ariaPressed = String(!on);
    if (on) { this.n.log.scrollTop = 1e9; this.scrolled = this.n.log.scrollTop; }
  }
  filter() { this.query = this.n.search.value.toLowerCase(); this.n.hits.hidden = !this.query; this.n.log.hidden = !!this.query; this.find(); if (!this.query) this.wake(); }
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
    this.n.hits.replaceChildren(el("b", {}, hits + (hits === 1 ? " line" : " lines") + (hits > 1000 ? ", the first 1,000 here" : "")), ...out);
  }
  adopt(host) {
    this.host.buildr = null;
    this.host = host; host.buildr = this;
    const root = host.shadowRoot || host.attachShadow({mode: "open"});
    root.replaceChildren(...this.root.childNodes);
    this.root = root;
    this.wake();
  }
  drop() {
    this.pane.views.delete(this);
    cancelAnimationFrame(this.frame);
    this.host.buildr = null;
    this.root.replaceChildren(el("slot"));
  }
}

function copy(text, button) {
  const said = () => { const was = button.textContent; button.textContent = "Copied"; setTimeout(() => { button.textContent = was; }, 1200); };
  const old = () => {
    const area = el("textarea", {value: text});
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    said();
  };
  navigator.clipboard ? navigator.clipboard.writeText(text).then(said, old) : old();
}

const panes = new Map();
export default {
  initialize({model}) {
    const key = model.get("mark"), pane = new Pane(model);
    panes.set(key, pane);
    return () => { panes.delete(key); pane.dispose(); };
  },
  render({model, el: host}) {  // front ends that draw a widget where its view is displayed
    host.classList.add(model.get("mark"));
    const pane = panes.get(model.get("mark"));
    if (pane) pane.look();
  },
};
