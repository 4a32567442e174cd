/**
 * The status page's connection and clock: what comes in, what it becomes, and what is said when nothing comes. Plain script,
 * for browsers.
 *
 * @module
 */

/** The last part of the page's script. */
export const PAGE_SCRIPT: string = String.raw`
/** Two minutes of samples. */
const MAX_SAMPLES = 120;
/** Messages come every second: after so long there is no connection, whatever the socket says. */
const SILENT_MS = 6000;
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15000;

let socket;
let parts = {};
let notShown = {};
let waitMs = FIRST_WAIT_MS;
let retryAtMs;
let heardMs = 0;
let aheadMs = 0;
let load;
let rates = [];

function connect() {
  retryAtMs = undefined;
  const scheme = location.protocol === "https:" ? "wss://" : "ws://";
  const opening = socket = new WebSocket(scheme + location.host + "/status");
  heardMs = Date.now();
  say("", parts.self ? "Connecting again" : "Connecting");
  opening.addEventListener("message", ({ data }) => {
    if (socket === opening) take(JSON.parse(data));
  });
  opening.addEventListener("close", () => {
    if (socket === opening) lose();
  });
}

function leave() {
  const leaving = socket;
  socket = undefined;
  leaving?.close();
}

function lose() {
  leave();
  document.body.classList.add("stale");
  if (document.hidden) return;
  retryAtMs = Date.now() + waitMs * (0.8 + 0.4 * Math.random());
  waitMs = Math.min(LONGEST_WAIT_MS, waitMs * 1.7);
  tick();
}

function take({ header, content }) {
  if (header !== "0status" && header !== "0status update") return;
  heardMs = Date.now();
  aheadMs = content.atMs - heardMs;
  waitMs = FIRST_WAIT_MS;
  parts = header === "0status" ? content.parts : { ...parts, ...content.parts };
  notShown = content.notShown;
  document.body.classList.remove("stale");
  say("on", "Live");
  measure(content.atMs);
  refresh();
  tick();
}

/** Rates are the difference between two messages. */
function measure(atMs) {
  if (told("load") === undefined) return void (load = undefined);
  const now = { atMs, startedMs: parts.self?.startedMs, ...parts.load };
  const before = load;
  load = now;
  const seconds = before === undefined ? 0 : (atMs - before.atMs) / 1000;
  if (seconds <= 0 || seconds > 30 || before.startedMs !== now.startedMs) return void (rates = []);
  if (seconds < 0.5) return void (load = before);
  const rate = (key) => Math.max(0, (now[key] - before[key]) / seconds);
  rates.push({ messages: [rate("messagesIn"), rate("messagesOut")], bytes: [rate("bytesIn"), rate("bytesOut")] });
  rates = rates.slice(-MAX_SAMPLES);
}

function showRates({ links, tcp, websocket }) {
  const last = rates.at(-1) ?? { messages: [0, 0], bytes: [0, 0] };
  const show = (key, write) => {
    const [come, gone] = last[key];
    setText(byId(key + "-figure"), write(come + gone));
    byId(key + "-note").replaceChildren(el("span", { class: "key in" }), write(come) + " in", el("span", { class: "key out" }), write(gone) + " out");
    byId(key + "-spark").replaceChildren(sparkline(rates.map((one) => one[key])));
  };
  show("messages", figure);
  show("bytes", bytes);
  setText(byId("links-figure"), count(links));
  const kinds = [[tcp, "TCP"], [websocket, "WebSocket"]].filter(([many]) => many > 0).map(([many, kind]) => many + " " + kind);
  setText(byId("links-note"), kinds.join(", ") || "no link is open");
}

const isFailed = (part) => typeof part.error === "string";

/** A part that is there and has not failed. */
function told(name) {
  const part = parts[name] ?? undefined;
  return part === undefined || isFailed(part) ? undefined : part;
}

/** Where parts are shown whose place is not called as they are. */
const PLACES = { self: "facts", load: "links-figure", sync: "folders" };

/** A part that failed says so in its own place, and leaves the others alone; one that left something out says so below. */
function attempt(name, show) {
  const part = parts[name] ?? undefined;
  if (part === undefined) return;
  const card = byId(PLACES[name] ?? name).closest("section");
  const failed = isFailed(part);
  card.classList.toggle("failed", failed);
  if (failed) card.hidden = false;
  else show(part);
  const left = failed ? 0 : part.rows ? part.of - part.rows.length : notShown[name] ?? 0;
  const caveat = card.querySelector(":scope > .caveat") ?? card.appendChild(el("p", { class: "note caveat" }));
  setText(caveat, failed ? "This cannot be shown: " + part.error : "and " + count(left) + " more that are not shown");
  caveat.hidden = !failed && left === 0;
}

function refresh() {
  if (!parts.self) return;
  const self = told("self") ?? { peerId: "", name: "" };
  attempt("self", () => showSelf(self, told("load"), parts.dht));
  attempt("load", showRates);
  attempt("peers", showPeers);
  attempt("topics", (topics) => showTopics(topics, self, told("peers") ?? { rows: [] }));
  attempt("transfers", showTransfers);
  attempt("trees", (trees) => showTrees(trees, self));
  if (!parts.sync) byId("sync-card").hidden = true;
  attempt("sync", showSync);
  attempt("counters", showCounters);
  showOthers(parts);
}

function say(kind, text) {
  byId("live").className = "live " + kind;
  byId("retry").hidden = kind !== "lost";
  setText(byId("live-text"), text);
}

function tick() {
  const nowMs = Date.now();
  if (told("self")) setText(byId("uptime"), "up for " + duration(nowMs + aheadMs - parts.self.startedMs));
  if (socket !== undefined) {
    if (nowMs - heardMs > SILENT_MS) lose();
    return;
  }
  if (retryAtMs === undefined) return;
  const leftMs = retryAtMs - nowMs;
  if (leftMs <= 0) return connect();
  say("lost", "Connection lost, trying again in " + Math.ceil(leftMs / 1000) + " s");
}

byId("retry").addEventListener("click", connect);
byId("counters-details").addEventListener("toggle", refresh);
// Nobody looks at a page that is hidden: the peer has nothing to do for it.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    retryAtMs = undefined;
    leave();
  } else if (socket === undefined) connect();
});
setInterval(tick, 1000);
connect();
`;
