// The pane in the page. It mounts itself, in a shadow root, on every element that has the record's class, so that the
// notebook holds nothing but the record. All text goes in as text nodes; nothing here reads markup.
const STEP_LINES = 2000, SMALL = 1000;
const MARKS = {done: "✓", cached: "≡", failed: "✗", cancelled: "–", running: "▸", waiting: "·"};
const took = s => s == null ? "" : s < 60 ? s.toFixed(1) + " s" : Math.floor(s / 60) + " min " + Math.floor(s % 60) + " s";
const count = (n, noun) => n + " " + noun + (n === 1 ? "" : "s");
const size = n => {
  for (const unit of ["bytes", "kB", "MB", "GB"]) {
    if (n < 1000 || unit === "GB") return (n >= 10 || unit === "bytes" ? Math.round(n) : n.toFixed(1)) + " " + unit;
    n /= 1000;
  }
};

// A page that was loaded while a cell runs: the kernel's answer to what it can do waits for the cell's end, and so
// would all that is sent to it. A subshell of our own, asked for by the control channel, is heard at once.
const envelope = (kernel, channel, msg_type, content, subshell_id = null) => ({channel, content, metadata: {}, parent_header: {}, buffers: [],
  header: {msg_id: crypto.randomUUID(), msg_type, session: kernel.clientId, username: kernel.username, date: new Date().toISOString(), version: "5.2", subshell_id}});
function openSubshell(kernel) {
  const reply = kernel.sendControlMessage(envelope(kernel, "control", "create_subshell_request", {}), true, true).done;
  return Promise.race([reply, new Promise((_, late) => setTimeout(late, 8000))]).then(answer => answer.content.subshell_id, () => undefined);
}

class Pane {
  constructor(model) {
    this.views = new Set();
    this.gone = true;  // until it is known that a kernel is behind it: a notebook may hold the model of an old one
    this.mark = model.get("mark");
    const boot = model.get("boot");
    this.turn = boot.turn;
    this.late = boot.serial > 0;
    this.clear();
    this.hear = (message, buffers) => this.message(message, buffers);
    this.checked = () => this.alive();
    this.bind(model);
    this.take(boot.state);
    this.observer = new MutationObserver(() => this.look());
    this.observer.observe(document.documentElement, {childList: true, subtree: true});
    this.found = document.getElementsByClassName(this.mark);
    this.ticker = setInterval(() => this.views.forEach(view => view.clock()), 500);
    this.alive();
  }
  bind(model) {
    this.unbind();
    this.model = model;
    this.serial = model.get("boot").serial;
    model.on("msg:custom", this.hear);
    model.on("comm_live_update", this.checked);
  }
  unbind() {
    if (!this.model) return;
    this.model.off("msg:custom", this.hear);
    this.model.off("comm_live_update", this.checked);
  }
  rebind(model) {  // the kernel speaks by another widget now
    if (model.get("boot").serial <= this.serial) return;
    this.bind(model);
    if (this.gone) return this.alive();
    this.say({do: "want", n: this.next});
  }
  async say(message) {
    const kernel = (this.model.widget_manager || {}).kernel, own = this.late && kernel && kernel.supportsSubshells === false;
    if (own && !this.shell) this.shell = openSubshell(kernel);
    const shell = own && await this.shell;
    if (!shell) return this.model.send(message);
    kernel.sendShellMessage(envelope(kernel, "shell", "comm_msg", {comm_id: this.model.get("ident"), data: {method: "custom", content: message}}, shell), false, true);
  }
  // Put the record where this page's notebook has an older one: what the kernel updates by itself are outputs that
  // this page saw coming. A cell whose output was not saved gets it.
  place(record, cell) {
    const notebook = ((this.model.widget_manager || {}).context || {}).model;
    if (!notebook || !notebook.cells) return;
    const output = {output_type: "display_data", data: record, metadata: {}};
    let found = false, home = null;
    for (const one of notebook.cells) {
      if (one.type !== "code") continue;
      if (one.id === cell) home = one;
      for (let i = 0; i < one.outputs.length; i++) {
        const html = [].concat(one.outputs.get(i).data["text/html"] || []).join("");
        if (!html.includes(this.mark)) continue;
        found = true;
        if (html !== record["text/html"]) one.outputs.set(i, output);
      }
    }
    if (!found && home && this.late) home.outputs.add(output);
  }
  clear() {
    this.rows = []; this.first = 0; this.total = 0; this.next = 0; this.last = new Map(); this.held = new Map();
    this.ready = false; this.from = Infinity; this.version = (this.version || 0) + 1;
  }
  async alive() {  // a kernel that is gone leaves the record; one that is back is asked for what it says now
    const model = this.model, manager = model.widget_manager || {};
    const held = manager.get_model ? await manager.get_model(model.get("ident")).catch(() => null) : {};
    const gone = !held || held.comm_live === false;
    if (gone === this.gone || model !== this.model) return;  // or the kernel speaks by another widget by now
    this.gone = gone;
    if (gone) [...this.views].forEach(view => view.drop());
    else {
      const boot = this.model.get("boot"), fresh = !this.greeted;
      this.greeted = true;
      if (fresh && boot.record) this.place(boot.record, boot.cell);
      this.look();
      this.say({do: "want", n: this.next, new: fresh});
    }
  }
  look() {
    if (this.gone) return;
    for (const host of this.found) {  // where the record was replaced, its view moves over as it stands
      const lost = host.buildr ? null : [...this.views].find(view => !view.host.isConnected);
      if (lost) lost.adopt(host);
      else if (!host.buildr) new View(this, host);
    }
    if (this.found.length) this.views.forEach(view => { if (!view.host.isConnected) view.drop(); });
  }
  get live() { return this.state.status === "running" || this.state.status === "waiting"; }
  take(state) { this.state = state; this.at = performance.now(); this.views.forEach(view => view.head()); }
  message(m, buffers) {
    if (m.file !== undefined) return this.download(m, buffers);
    if (m.record) return void setTimeout(() => this.place(m.record, m.cell), 500);
    if (m.turn < this.turn) return;
    if (m.turn > this.turn) { this.turn = m.turn; this.clear(); this.ready = true; this.views.forEach(v => v.reset()); }
    if (m.state) this.take(m.state);
    if (m.first !== undefined) {
      if (m.first !== null && m.first < this.from) { this.clear(); this.next = m.first; }  // late, and whole: begin anew
      if (m.first !== null && m.first > this.next) this.next = m.first;
      this.ready = true;
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
    this.from = Math.min(this.from, batch.n);
    if (batch.before !== this.total) {
      this.rows = []; this.first = this.total = batch.before; this.last.clear(); this.version++;
    }
    for (const [step, join, count, text] of batch.runs) {
      const texts = count === 1 ? [text] : text.split("\n");
      texts.forEach((t, i) => {
        const before = i === 0 && join ? this.last.get(step) : null;
        if (before && before.id >= this.first) {
          before.text = join === 1 ? (before.text + t).slice(-4200) : t;
          this.views.forEach(view => view.log.touch(before.id));
        } else if (!(i === 0 && join)) {
          const row = {id: this.total++, step, text: t};
          this.rows.push(row); this.last.set(step, row);
          this.views.forEach(view => view.log.touch(row.id));
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
    this.unbind();
    this.observer.disconnect();
    clearInterval(this.ticker);
    [...this.views].forEach(view => view.drop());
  }
}

class View {
  constructor(pane, host) {
    this.pane = pane; this.host = host; host.buildr = this; this.steps = new Map();
    this.log = new Log(pane, on => { set(this.n.pause, on ? "Pause" : "Follow"); this.n.pause.ariaPressed = String(!on); this.wake(); });
    this.root = host.shadowRoot || host.attachShadow({mode: "open"});
    this.build();
    pane.views.add(this);
    this.head();
    this.wake();
  }
  button(name, does, props = {}) { return el("button", {type: "button", textContent: name, onclick: does, ...props}); }
  build() {
    const say = what => () => this.pane.say({do: what});
    const n = this.n = {
      mark: el("span", {className: "m", ariaHidden: "true"}), title: el("span", {className: "title"}), builder: el("span", {className: "dim"}),
      said: el("span", {role: "status", ariaLive: "polite"}), time: el("span", {className: "time"}),
      cancel: this.button("Cancel", () => { this.n.cancel.disabled = true; this.pane.say({do: "cancel"}); }),
      publish: this.button("Publish", say("publish")), run: this.button("Run", () => this.run()),
      copyRef: this.button("Copy reference", () => copy(this.pane.state.result ? this.pane.state.result.image : this.pane.state.title, this.n.copyRef)),
      fill: el("i"), err: el("div", {className: "err", role: "alert"}), warn: el("div"), done: el("div"), wentSum: el("summary"), wentIn: el("div", {className: "tables"}),
      runs: el("div", {className: "runs", hidden: true}), runSum: el("div", {className: "dim"}), runHead: el("tr"), runBody: el("tbody"),
      list: el("ul", {className: "steps", role: "list", ariaLabel: "Steps"}),
      moveSum: el("summary"), moveList: el("ul"), count: el("span", {className: "dim"}), fold: el("div", {className: "dim"}),
      search: el("input", {type: "search", placeholder: "Search the log", ariaLabel: "Search the log", oninput: () => { this.log.search(this.n.search.value); this.wake(); }}),
      pause: this.button("Pause", () => this.log.setFollow(!this.log.follow), {ariaPressed: "false"}),
      copyLog: this.button("Copy log", () => copy(this.pane.rows.map(row => bare(row.text)).join("\n") + "\n", this.n.copyLog)),
      download: this.button("Download", () => {
        this.pane.file = {id: String(Math.random()), parts: []};
        this.pane.say({do: "download", id: this.pane.file.id});
      }),
    };
    n.fields = el("div", {className: "fields", role: "group", ariaLabel: "Values for Run", hidden: true, onkeydown: event => { if (event.key === "Enter") this.run(); }});
    n.bar = el("div", {className: "bar", role: "progressbar", ariaLabel: "Progress of the whole", ariaValueMin: "0", ariaValueMax: "100"}, n.fill);
    n.moves = el("details", {className: "moves"}, n.moveSum, n.moveList);
    n.went = el("details", {className: "went"}, n.wentSum, n.wentIn);
    n.tools = el("div", {className: "tools"}, n.search, n.pause, n.copyLog, n.download, n.count);
    n.summary = el("summary", {}, "Steps and log"); n.wholeSum = el("summary", {hidden: true}, "The whole log");
    n.whole = el("details", {className: "whole", open: true, ontoggle: () => this.wake()}, n.wholeSum, n.tools, n.fold, this.log.box, this.log.hits);
    n.body = el("details", {className: "body", open: true, ontoggle: () => this.wake()}, n.summary, n.list, n.moves,
      n.whole);
    n.pane = el("section", {className: "pane", role: "region"},
      el("div", {className: "head"}, n.mark, n.title, n.builder, n.said, n.time, el("span", {className: "btns"}, n.cancel, n.publish, n.run, n.copyRef)),
      n.fields, n.bar, n.err, n.done, n.warn, n.runs, n.went, n.body);
    n.runs.append(n.runSum, el("table", {}, el("thead", {}, n.runHead), n.runBody));
    this.root.replaceChildren(el("style", {textContent: this.pane.model.get("look")}), n.pane);
  }
  run() {  // an empty field is the value that the image has
    const fields = this.n.fields.hidden ? [] : [...this.n.fields.querySelectorAll("input, select")].filter(field => field.value !== "");
    this.pane.say({do: "run", values: Object.fromEntries(fields.map(field => [field.dataset.name, field.value]))});
  }
  inputs(s) {
    const form = this.n.fields, inputs = s.can.values && s.result ? s.result.inputs : [], key = JSON.stringify(inputs);
    form.hidden = !inputs.length;
    if (form.key === key || !inputs.length) return;  // what is being typed stays
    form.key = key;
    form.replaceChildren(...inputs.map(input => {
      const said = {"data-name": input.name, title: [input.type, input.description].filter(Boolean).join(": ")};
      const field = input.choices.length
        ? el("select", said, el("option", {value: "", textContent: input.required ? "choose" : input.default}),
          ...input.choices.map(choice => el("option", {value: choice, textContent: choice})))
        : el("input", {...said, type: "text", placeholder: input.required ? "required" : input.default, autocomplete: "off", spellcheck: false});
      return el("label", {}, el("span", {}, input.name), field);
    }));
  }
  reset() { this.foldLog(false); this.n.body.open = true; this.steps.forEach(s => s.li.remove()); this.steps.clear(); this.runColumns = null; this.ended = false; this.log.wipe(); this.n.cancel.disabled = false; }
  head() {
    const n = this.n, s = this.pane.state, live = s.status === "running" || s.status === "waiting";
    if (live && this.ended) { this.ended = false; n.body.open = true; this.foldLog(false); n.cancel.disabled = false; }  // more is done with it
    put(n.pane, "className", "pane " + s.status); put(n.pane, "ariaLabel", "Build of " + s.title);
    set(n.mark, MARKS[s.status]); set(n.title, s.title); set(n.builder, s.builder); set(n.said, s.said);
    n.cancel.hidden = !s.can.cancel; n.publish.hidden = !s.can.publish; n.run.hidden = !s.can.run; n.copyRef.hidden = !s.result;
    const known = s.fraction !== null;
    put(n.bar, "className", "bar " + s.status + (known && live ? " on" : "") + (!known && live ? " unknown" : ""));
    if (known) { n.fill.style.width = s.fraction * 100 + "%"; n.bar.ariaValueNow = String(Math.round(s.fraction * 100)); }
    else { n.fill.style.width = live ? "" : "100%"; n.bar.removeAttribute("aria-valuenow"); }
    put(n.bar, "ariaValueText", known ? Math.round(s.fraction * 100) + " percent" : "not known");
    this.inputs(s); this.error(s.error); this.result(s); this.drawRuns(s.runs); this.drawSteps(s); this.drawMoves(s); this.clock();
    const warnings = s.warnings.map(([text, hint]) => el("div", {className: "warn"}, "⚠ " + text + (hint ? " (" + hint + ")" : "")));
    if (n.warn.childElementCount !== warnings.length) n.warn.replaceChildren(...warnings);
    this.tally();
    if (!live && !this.ended) { this.ended = true; n.body.open = s.status !== "done" || s.output.length > 0; if (s.error) this.foldLog(this.openStep(s.error.key)); }
  }
  foldLog(on) { this.n.whole.open = !on; this.n.wholeSum.hidden = !on; }  // the failing step's lines are in sight: once is enough
  tally() {
    const all = this.pane.total;
    set(this.n.count, all ? all.toLocaleString("en") + (all === 1 ? " line" : " lines") : "");
    this.n.pause.hidden = !this.pane.live;  // nothing comes that could be waited for
    // Once it has ended, what there is no line for is in nobody's way: nothing to search, no step, no box.
    const empty = !all && !this.pane.live;
    this.n.whole.hidden = this.n.tools.hidden = this.log.box.hidden = empty;
    this.n.body.hidden = empty && !this.pane.state.steps.length;
  }
  clock() {
    const s = this.pane.state, live = s.status === "running" || s.status === "waiting";
    const now = s.elapsed + (live ? (performance.now() - this.pane.at) / 1000 : 0);
    if (live) for (const held of this.steps.values())
      if (held.age != null) set(held.d, "running " + Math.floor(held.age + (performance.now() - this.pane.at) / 1000) + " s");
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
    n.went.hidden = !r || !r.went.length;
    if (!r) return set(n.summary, "Steps and log");
    this.went(r.went);
    const parts = [r.digest ? (r.is_id ? "image id " : "digest ") + r.digest.slice(0, 19) + "…" : "", r.size, r.same ? "nothing had changed" : r.cached ? r.cached + " of " + r.steps + " steps cached" : "",
      r.exit === null ? "" : "exit code " + r.exit].filter(Boolean).join(" · ");
    const push = r.pushed.length ? el("div", {}, "pushed: " + r.pushed.join(", ")) : "";
    const again = this.button("Copy command", () => copy(r.command, again));
    const proof = r.proof ? [el("div", {}, "proof: " + r.proof), ...r.widened.map((why) => el("div", {}, "widened: " + why))] : [];
    const files = r.files ? el("div", {}, "files: ", el("code", {}, r.files)) : "";
    n.done.replaceChildren(el("div", {}, parts), push, files, el("div", {}, "run it: ", el("code", {}, r.command), " ", again), ...proof);
    put(n.done, "title", r.digest);
    set(n.summary, count(s.steps.length + s.more_steps, "step") + " and the log");
  }
  went(parts) {
    const title = "What went in: " + parts.map(part => part.title).join("; ");
    if (this.n.wentSum.textContent === title) return;
    set(this.n.wentSum, title);
    this.n.wentIn.replaceChildren(...parts.flatMap(part => [el("b", {}, part.title), el("table", {}, ...part.rows.map(row => el("tr", {}, ...row.map(text => el("td", {}, text)))),
      ...(part.more ? [el("tr", {}, el("td", {}, "… and " + part.more + " more"))] : []))]));
  }
  drawRuns(r) {  // a row is made once and changed in place, so that one that is open, or has the focus, stays so
    const n = this.n;
    n.runs.hidden = !r;
    if (!r) return;
    const counts = Object.entries(r.counts).map(([phase, count]) => count + " " + phase).join(", ");
    set(n.runSum, count(r.total, "run") + ": " + counts + (r.rows.length < r.total ? "; " + r.rows.length + " of them are shown" : ""));
    const columns = ["number", "inputs", "phase", "took", ...r.names.map(name => "=" + name)];
    const key = columns.join("\n");
    if (this.runColumns !== key) {
      this.runColumns = key; this.runRows = new Map(); n.runBody.replaceChildren();
      n.runHead.replaceChildren(...columns.map(column => {
        const name = {number: "#", phase: "state", took: "time"}[column] || column.replace(/^=/, "");
        const head = el("th", {scope: "col"}, this.button(name, () => {
          this.runSort = this.runSort && this.runSort[0] === column ? [column, -this.runSort[1]] : [column, 1];
          this.drawRuns(this.pane.state.runs);
        }));
        head.column = column;
        return head;
      }));
    }
    const value = (row, column) => column[0] === "=" ? row.returned[column.slice(1)] : row[column];
    const [by, way] = this.runSort || ["number", 1];
    const order = (a, b) => {
      const x = value(a, by), y = value(b, by);
      if (x == null || y == null || x === "" || y === "") return (x == null || x === "" ? 1 : 0) - (y == null || y === "" ? 1 : 0);
      const numbers = !isNaN(x) && !isNaN(y);
      return way * (numbers ? x - y : String(x).localeCompare(String(y), undefined, {numeric: true}));
    };
    for (const head of n.runHead.children) head.ariaSort = head.column === by ? (way > 0 ? "ascending" : "descending") : "none";
    const seen = new Set(), rows = [...r.rows].sort((a, b) => order(a, b) || a.number - b.number);
    rows.forEach((row, at) => {
      seen.add(row.key);
      let held = this.runRows.get(row.key);
      if (!held) {
        const cells = columns.map(() => el("td")), pre = el("pre", {tabIndex: 0}), sum = el("summary"), box = el("details", {}, sum, pre);
        held = {tr: el("tr", {}, ...cells), cells, box, sum, pre};
        this.runRows.set(row.key, held);
      }
      put(held.tr, "className", "r-" + row.phase);
      columns.forEach((column, i) => {
        if (column === "phase") return;
        set(held.cells[i], column === "took" ? took(row.took) : String(value(row, column) ?? ""));
      });
      const state = held.cells[2], text = row.phase + (row.before ? ", before" : "");
      if (row.reason) {
        if (held.box.parentNode !== state) state.replaceChildren(held.box);
        set(held.sum, text + ": " + row.reason); set(held.pre, row.tail.join("\n") || "it wrote nothing");
      } else set(state, text);
      if (n.runBody.children[at] !== held.tr) n.runBody.insertBefore(held.tr, n.runBody.children[at] || null);
    });
    for (const [name, held] of this.runRows) if (!seen.has(name)) { held.tr.remove(); this.runRows.delete(name); }
  }
  drawSteps(s) {
    const seen = new Set();
    for (const step of s.steps) {
      seen.add(step.key);
      let held = this.steps.get(step.key);
      if (!held) {
        const t = el("span", {className: "t"}), d = el("span", {className: "d"}), m = el("span", {className: "m", ariaHidden: "true"}), pre = el("pre", {tabIndex: 0});
        const box = el("details", {ontoggle: () => this.drawStep(step.key)}, el("summary", {}, m, t, d), pre);
        held = {li: el("li", {}, box), box, t, d, m, pre};
        this.steps.set(step.key, held);
        const stick = this.n.list.scrollHeight - this.n.list.clientHeight;
        this.n.list.append(held.li);
        if (stick > 0) this.n.list.scrollTop = this.n.list.scrollHeight;
      }
      put(held.box, "className", "s-" + step.status);
      set(held.m, MARKS[step.status]);
      (step.key.startsWith("run ") ? linked : set)(held.t, (step.number ? "[" + step.number + "] " : "") + step.title);  // a build's steps are anybody's words
      put(held.t, "className", step.number ? "t" : "t plain");  // an instruction, or words
      put(held.t, "title", step.said || step.title);
      held.age = step.age;
      set(held.d, step.status === "done" ? took(step.took) : step.status + (step.took ? " " + took(step.took) : ""));
    }
    for (const [key, held] of this.steps) if (!seen.has(key)) { held.li.remove(); this.steps.delete(key); }
  }
  openStep(key) {
    const held = this.steps.get(key);
    if (held) { held.box.open = true; this.drawStep(key); held.pre.scrollTop = held.pre.scrollHeight; this.n.list.scrollTop = held.li.offsetTop - this.n.list.offsetTop; }
    const error = this.pane.state.error;
    return !!held && (!!(error && error.tail.length) || this.pane.rows.some(row => row.step === key));
  }
  drawStep(key) {
    const held = this.steps.get(key);
    if (!held || !held.box.open) return;
    const s = this.pane.state;
    let lines = this.pane.rows.filter(row => row.step === key).slice(-STEP_LINES).map(row => bare(row.text));
    if (!lines.length && s.error && s.error.key === key) lines = s.error.tail;
    const said = (s.steps.find(step => step.key === key) || {}).said;
    set(held.pre, (said ? said + "\n" : "") + (lines.length ? lines.join("\n") : "no output"));
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
  wake(in_ms = 0) {
    if (this.frame || in_ms && this.timer) return;
    clearTimeout(this.timer); this.timer = 0;
    if (in_ms) this.timer = setTimeout(() => { this.timer = 0; this.wake(); }, in_ms);
    else this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw(); });
  }
  draw() {
    const p = this.pane, now = performance.now();
    this.tally();
    if (!(this.n.body.open && this.n.whole.open) && p.total > SMALL) return;  // nobody sees the log: opening it wakes this up
    set(this.n.fold, p.first ? "… " + p.first.toLocaleString("en") + " lines above are folded; Download has them all" : "");
    const more = this.log.draw();
    if (p.live && now - (this.stepAt || 0) > 500) {
      this.stepAt = now;
      for (const step of p.state.steps) if (step.status === "running") this.drawStep(step.key);
    }
    if (more !== null) this.wake(more);
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
    cancelAnimationFrame(this.frame); clearTimeout(this.timer);
    this.host.buildr = null;
    this.root.replaceChildren(el("slot"));
  }
}

function linked(node, text) {  // a port that is open is a link
  if (node.textContent === text) return;
  node.replaceChildren(...text.split(/(http:\/\/[\w.:[\]]+)/).map((part, i) => i % 2 ? el("a", {href: part, target: "_blank", rel: "noopener", textContent: part}) : part));
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

// Each widget loads this script anew; the panes of a page are one table all the same.
const panes = globalThis[Symbol.for("buildr panes")] ||= new Map();
export default {
  initialize({model}) {
    const key = model.get("mark");
    const pane = panes.get(key) || new Pane(model);
    panes.set(key, pane);
    pane.rebind(model);
    return () => {
      if (pane.model !== model) return;
      panes.delete(key);
      pane.dispose();
    };
  },
  render({model, el: host}) {  // front ends that draw a widget where its view is displayed
    host.classList.add(model.get("mark"));
    const pane = panes.get(model.get("mark"));
    if (pane) pane.look();
  },
};
