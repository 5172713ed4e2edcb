// Shows /status. Whatever comes from there is a stranger's: it becomes text (textContent), never HTML.
"use strict";
const EVERY = 2000, SLOWEST = 10000; // milliseconds between two questions
const BINS = 60; // bars in the plot: one, three or six minutes each, as long as there is something to show
const by = (id) => document.getElementById(id);

const STATES = { // of a mapping: word and tone
  ok: ["in sync", "good"], partial: ["some files fail", "warn"], failed: ["failing", "bad"],
  waiting: ["waiting", "unknown"], "first cycle": ["first cycle", "busy"],
};
const HEADLINES = { // reason of the condition Synced: headline, tone, glyph
  InSync: ["Everything is in sync", "good", "✓"], Transferring: ["Transferring", "busy", "⇅"],
  FirstCycle: ["Starting: the first cycle", "busy", "…"], FilesFail: ["Some files are not synced", "warn", "!"],
  WaitingForStorage: ["Waiting for the storage's keys", "warn", "…"],
  DirectoryUnusable: ["The directory cannot be used", "bad", "!"], InternalError: ["A mistake inside data-sync", "bad", "!"],
};
const NOTICES = { // conditions to warn of: headline and tone
  DataAtRisk: ["Data exists on this device alone", "bad"], Refused: ["Nothing can go until someone changes something", "bad"],
  IngressLimited: ["Downloads wait for room", "warn"], NamesQuarantined: ["Some names can never go", "warn"],
};

function put(element, text) { // an element that says the same already is left alone: selections and focus stay
  const wanted = text == null ? "" : String(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}
function make(tag, name, ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children);
  return element;
}
function fill(list, items, build) { // rebuilt only when what it shows is new
  const seen = JSON.stringify(items);
  if (list.dataset.seen === seen) return;
  list.dataset.seen = seen;
  list.replaceChildren(...items.map(build));
}
function size(bytes) {
  if (bytes == null) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let step = 0;
  while (bytes >= 1024 && step < 4) { bytes /= 1024; step++; }
  return `${step && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${units[step]}`;
}
function count(number, word) { return number == null ? "–" : `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`; }
function duration(seconds) {
  if (seconds == null) return "–";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}
function ago(moment, now) { return moment == null ? "not yet" : `${duration(Math.max(0, now - moment))} ago`; }
function total(mappings, way, key) {
  const found = mappings.filter((one) => one.direction === way).map((one) => one[key]);
  return found.some((one) => one == null) ? null : found.reduce((sum, one) => sum + one, 0);
}

function banner(status) {
  const synced = status.conditions.find((one) => one.type === "Synced") || { reason: "FirstCycle", message: "" };
  let [headline, tone, glyph] = HEADLINES[synced.reason] || [synced.reason, "unknown", "…"];
  const warnings = status.conditions.filter((one) => NOTICES[one.type] && one.status === "True");
  if (warnings.some((one) => NOTICES[one.type][1] === "bad")) [tone, glyph] = ["bad", "!"];
  by("banner").dataset.tone = tone;
  put(by("glyph"), glyph);
  put(by("headline"), headline);
  put(by("sentence"), status.role === "standby"
    ? `${synced.message} Another sidecar syncs this directory; this one takes over when that one ends.` : synced.message);
  const left = status.next_cycle_in;
  put(by("next"), status.mappings.some((one) => one.syncing) ? "syncing now" : left == null ? "" : `next cycle in ${Math.ceil(left)} s`);
  const notices = [...warnings.map((one) => ({ title: NOTICES[one.type][0], tone: NOTICES[one.type][1], text: one.message })),
    ...status.notices.map((text) => ({ title: "Notice", tone: "warn", text }))];
  if (Math.abs(status.clock_skew_seconds || 0) > 60) notices.push({ title: "The clock is off", tone: "warn",
    text: `The device's clock is ${duration(Math.abs(status.clock_skew_seconds))} ${status.clock_skew_seconds > 0 ? "ahead of" : "behind"} the server's.` });
  fill(by("notices"), notices, (one) => {
    const item = make("li", "", make("strong", "", one.title), make("p", "", one.text));
    item.dataset.tone = one.tone;
    return item;
  });
}

function tiles(status) {
  const all = status.mappings;
  for (const way of ["egress", "ingress"]) {
    const some = all.some((one) => one.direction === way);
    put(by(`${way}-files`), some ? count(total(all, way, "pending_files"), "file") : "–");
    put(by(`${way}-bytes`), some ? size(total(all, way, "pending_bytes")) : "no such mapping");
  }
  const ages = all.filter((one) => one.direction === "egress").map((one) => one.oldest_pending_age_seconds || 0);
  const oldest = Math.max(0, ...ages);
  put(by("oldest"), oldest ? duration(oldest) : "none");
  put(by("oldest-note"), oldest ? "on this device alone" : "all is sent");
  const today = status.requests_today;
  put(by("requests"), today.total.toLocaleString("en"));
  by("requests").title = `since ${new Date(today.since * 1000).toLocaleString()}`;
  put(by("requests-note"), `${today.failed ? today.failed.toLocaleString("en") : "none"} failed`);
  put(by("free"), size(status.free_bytes));
  put(by("free-note"), status.total_bytes ? `of ${size(status.total_bytes)}` : "");
}

function route(one) {
  const device = ["/export", one.source === "." && one.direction === "egress" ? "" : one.direction === "egress" ? one.source : one.target]
    .filter((part) => part && part !== ".").join("/");
  return one.direction === "egress" ? [device, one.target] : [one.source, device];
}
function card(one) {
  const from = make("span"), to = make("span"), chip = make("span", "chip");
  const way = make("span", "way", one.direction === "egress" ? "↑ egress" : "↓ ingress");
  const item = make("li", "", make("div", "route", way, from, make("i", "", "→"), to, chip), make("dl", "facts"), make("div", "problems"));
  item.dataset.way = one.direction;
  const [start, end] = route(one);
  put(from, start);
  put(to, end);
  for (const title of ["failing", "quarantined"]) {
    const list = make("details", title, make("summary"), make("ul"));
    list.hidden = true;
    item.append(list);
  }
  return item;
}
function names(item, kind, title, found, number, shown) {
  const box = item.querySelector(`.${kind}`);
  box.hidden = !number;
  put(box.querySelector("summary"), shown ? `${title}: ${number}${number > found.length ? ` (the first ${found.length})` : ""}` : `${title}: ${number} (names are not shown to this client)`);
  fill(box.querySelector("ul"), found, (name) => make("li", "", name));
}
function mapping(item, one, now, shown) {
  const chip = item.querySelector(".chip");
  const [word, tone] = STATES[one.state] || [one.state, "unknown"];
  const late = one.state === "ok" && one.pending_files > 0;
  put(chip, one.syncing && one.state !== "first cycle" ? `${word}, syncing` : late ? "transferring" : word);
  chip.dataset.tone = late ? "busy" : tone;
  const facts = [["waiting", one.pending_files == null ? "–" : one.pending_files ? `${count(one.pending_files, "file")}, ${size(one.pending_bytes)}` : "nothing"],
    ["oldest", one.oldest_pending_age_seconds == null ? "–" : duration(one.oldest_pending_age_seconds)],
    ["complete", ago(one.last_success, now)], ["known files", one.indexed_files == null ? "–" : one.indexed_files.toLocaleString("en")]];
  if (one.skipped_files) facts.push(["passed over", count(one.skipped_files, "link or device")]);
  if (one.ingress_bytes != null) facts.push(["holds", size(one.ingress_bytes)]);
  fill(item.querySelector(".facts"), facts, ([name, value]) => make("div", "", make("dt", "", name), make("dd", "", value)));
  const problems = (one.problems || []).map((said) => ({ ...said, detail: said.files == null || shown ? (one.last_error_reason === said.reason ? one.last_error : "") : "" }));
  fill(item.querySelector(".problems"), problems, (said) => {
    const box = make("div", "problem", make("b", "", said.words), said.files == null ? "" : ` (${count(said.files, "file")})`, make("p", "", said.action));
    if (said.files == null) box.dataset.tone = "bad";
    if (said.detail) box.append(make("p", "quiet", said.detail));
    return box;
  });
  const failures = one.failures || [];
  names(item, "failing", "Files that could not go", failures.map((said) => said.error), shown ? failures.length : 0, shown);
  names(item, "quarantined", "Names that can never go", one.quarantined || [], one.quarantined_files || 0, shown);
}
function mappings(status) {
  const list = by("mappings");
  const keys = status.mappings.map((one) => JSON.stringify([one.direction, one.source, one.target]));
  if (list.dataset.seen !== keys.join()) {
    list.dataset.seen = keys.join();
    list.replaceChildren(...status.mappings.map(card));
  }
  status.mappings.forEach((one, number) => mapping(list.children[number], one, status.now, status.names_shown));
  by("nothing").hidden = status.mappings.length > 0;
}

let bins = null, chosen = null;
function draw(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text != null) element.textContent = text;
  return element;
}
function gather(throughput) { // the last slots of both directions in bars of equal length, oldest first
  const known = throughput.egress.length, each = [1, 3].find((slots) => known <= slots * BINS) || Math.ceil(throughput.slots / BINS);
  const sums = (slots) => Array.from({ length: BINS }, (_, bin) => {
    const end = slots.length - (BINS - 1 - bin) * each;
    return slots.slice(Math.max(0, end - each), Math.max(0, end)).reduce((sum, one) => sum + one, 0);
  });
  return { egress: sums(throughput.egress), ingress: sums(throughput.ingress), seconds: each * throughput.slot_seconds };
}
function plot() {
  const svg = by("plot"), width = svg.clientWidth || 600, height = svg.clientHeight || 200;
  const left = 78, bottom = 22, top = 8, inner = width - left - 4, tall = height - top - bottom;
  const up = Math.max(...bins.egress), down = Math.max(...bins.ingress), most = up + down || 1;
  const base = top + tall * (up && down ? Math.min(.85, Math.max(.15, up / most)) : down ? .02 : up ? .98 : .6);
  const scale = Math.min(up ? (base - top) / up : Infinity, down ? (top + tall - base) / down : Infinity);
  const step = inner / BINS, parts = [];
  const rate = (bytes) => `${size(bytes / bins.seconds)}/s`;
  if (up) parts.push(draw("line", { x1: left, x2: width, y1: base - up * scale, y2: base - up * scale }), draw("text", { x: left - 8, y: base - up * scale + 8, "text-anchor": "end" }, rate(up)));
  if (down) parts.push(draw("line", { x1: left, x2: width, y1: base + down * scale, y2: base + down * scale }), draw("text", { x: left - 8, y: base + down * scale, "text-anchor": "end" }, rate(down)));
  for (let bin = 0; bin < BINS; bin++) {
    for (const way of ["egress", "ingress"]) {
      const bytes = bins[way][bin];
      if (!bytes) continue;
      const tallness = Math.max(1.5, bytes * scale);
      parts.push(draw("rect", { class: way, x: left + bin * step + .5, width: Math.max(1, step - 1.5), y: way === "egress" ? base - tallness : base + 1, height: tallness, rx: 1 }));
    }
  }
  parts.push(draw("line", { class: "base", x1: left, x2: width, y1: base, y2: base }));
  if (!up && !down) parts.push(draw("text", { x: left + inner / 2, y: base - 10, "text-anchor": "middle" }, "nothing moved yet"));
  const whole = bins.seconds * BINS;
  put(by("plot-title"), `Throughput, last ${whole === 3600 ? "hour" : `${whole / 3600} hours`}`);
  const marks = width < 420 ? 2 : 3;
  for (let part = marks; part >= 0; part--) {
    const x = left + inner * (1 - part / marks), time = whole * part / marks;
    parts.push(draw("text", { x, y: height - 5, "text-anchor": part === marks ? "start" : part ? "middle" : "end" }, part ? `−${time < 3600 || whole === 3600 ? `${time / 60} min` : `${time / 3600} h`}` : "now"));
  }
  if (chosen != null) parts.unshift(draw("rect", { class: "here", x: left + chosen * step, width: step, y: top, height: tall }));
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(...parts);
  const sum = (way) => size(bins[way].reduce((all, one) => all + one, 0));
  put(by("plot-words"), chosen == null ? `${sum("egress")} sent, ${sum("ingress")} fetched. Point at a bar, or use the arrow keys.`
    : `${duration((BINS - 1 - chosen) * bins.seconds)} to ${duration((BINS - chosen) * bins.seconds)} ago: ${size(bins.egress[chosen])} sent, ${size(bins.ingress[chosen])} fetched.`);
}
function choose(bin) { chosen = bin == null ? null : Math.min(BINS - 1, Math.max(0, bin)); if (bins) plot(); }

function device(status) {
  const all = status.total_bytes, gauge = by("gauge");
  gauge.hidden = !all;
  if (all) {
    const used = 1 - status.free_bytes / all, floor = (status.floor_bytes || 0) / all;
    by("used").style.width = `${used * 100}%`;
    by("floor").style.width = `${floor * 100}%`;
    gauge.setAttribute("aria-label", `${Math.round(used * 100)} % of the disk is used; downloads leave ${Math.round(floor * 100)} % free`);
  }
  const limits = status.limits, storage = status.storage;
  const facts = [["bucket", storage.bucket ? `${storage.bucket} at ${storage.endpoint}` : "not known yet"],
    ["free", `${size(status.free_bytes)} of ${size(all)}`], ["downloads leave free", size(status.floor_bytes)],
    ["downloads may hold", limits.ingress_max_bytes == null ? "no ceiling" : size(limits.ingress_max_bytes)],
    ["bandwidth", limits.bandwidth == null ? "no limit" : `${size(limits.bandwidth)}/s`], ["requests a day", limits.requests_a_day ? limits.requests_a_day.toLocaleString("en") : "no limit"], ["interval", duration(status.interval)],
    ["watching", status.watcher_degraded == null ? "–" : status.watcher_degraded ? "no: directories are walked every cycle" : "yes"]];
  fill(by("facts"), facts, ([name, value]) => make("div", "", make("dt", "", name), make("dd", "", value)));
}

function show(status) {
  const who = status.identity;
  const title = who.pod || who.device || "Data Sync";
  put(by("title"), title);
  document.title = `${title} · Data Sync`;
  put(by("identity"), [who.namespace && `namespace ${who.namespace}`, who.node && `node ${who.node}`, who.device && `device ${who.device}`].filter(Boolean).join(" · ") || "what this sidecar moves, and what waits");
  put(by("clock"), new Date(status.now * 1000).toLocaleTimeString());
  put(by("version"), `data-sync ${status.version}, up ${duration(status.now - status.started)}, cycle ${status.cycle}`);
  banner(status);
  tiles(status);
  mappings(status);
  device(status);
  bins = gather(status.throughput);
  plot();
}

let failures = 0, timer = null, last = null;
async function ask() {
  clearTimeout(timer);
  try {
    const answer = await fetch("status", { cache: "no-store", signal: AbortSignal.timeout(8000) });
    if (!answer.ok) throw new Error(`the sidecar answers ${answer.status}`);
    show(await answer.json());
    failures = 0;
    last = Date.now();
    document.body.classList.remove("stale");
  } catch (error) {
    failures++;
    document.body.classList.add("stale");
    by("banner").dataset.tone = "unknown";
    put(by("glyph"), "?");
    put(by("headline"), "No answer from the sidecar");
    put(by("sentence"), `${last ? `What you see is ${duration((Date.now() - last) / 1000)} old. ` : ""}Is the port-forward still running? (${error.message})`);
    put(by("next"), "asking again");
  }
  if (!document.hidden) timer = setTimeout(ask, Math.min(SLOWEST, EVERY * (failures + 1)));
}

by("plot").addEventListener("pointermove", (event) => choose(Math.floor((event.offsetX - 78) / (by("plot").clientWidth - 82) * BINS)));
by("plot").addEventListener("pointerleave", () => choose(null));
by("plot").addEventListener("blur", () => choose(null));
by("plot").addEventListener("keydown", (event) => {
  const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (event.key === "Escape") choose(null);
  if (!move) return;
  event.preventDefault();
  choose((chosen == null ? BINS - (move < 0 ? 0 : 1) : chosen) + move);
});
addEventListener("resize", () => { if (bins) plot(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
ask();
