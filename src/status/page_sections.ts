/**
 * The status page's sections: one function for each part that the peer tells. Plain script, for browsers.
 *
 * @module
 */

/** The second part of the page's script. */
export const PAGE_SECTIONS: string = String.raw`
/** Words for states that say more than the state's own. */
const STATE_WORDS = { connected: "connected", gone: "has left" };

function stateOf(state, text) {
  return el("span", { class: "state " + state }, el("span", { class: "dot", "aria-hidden": "true" }), text ?? STATE_WORDS[state] ?? state);
}

function showFacts(facts) {
  const rows = facts.filter(([, value]) => value !== undefined && value !== "");
  const key = JSON.stringify(rows);
  const list = byId("facts");
  if (list.dataset.shown === key) return;
  list.dataset.shown = key;
  list.replaceChildren(...rows.flatMap(([name, value]) => {
    return [el("dt", {}, name), el("dd", {}, name === "Id" ? el("code", {}, value) : value)];
  }));
}

function showSelf(self, load, dht) {
  const name = self.name || shortId(self.peerId);
  document.title = name + " · kith";
  setText(byId("name"), name);
  setText(byId("short-id"), shortId(self.peerId));
  byId("short-id").title = self.peerId;
  setText(byId("version"), "kith " + self.version);
  showFacts([
    ["Id", self.peerId],
    ["TCP", self.tcp],
    ["UDP", self.udp],
    ["HTTP", self.http],
    ["Hosts", self.hosts.join(", ")],
    ["Also speaks", self.dialects.join(", ")],
    ["Started", new Date(self.startedMs).toLocaleString()],
    ["Memory", load && bytes(load.memoryBytes)],
    ["DHT", dht?.error ?? (dht ? count(dht.nodes) + " nodes known of about " + count(dht.estimatedNodes) + ", " + count(dht.records) + " values kept (" + dht.mode + ")" : undefined)],
  ]);
}

function showPeers({ rows, counts }) {
  const others = counts.alive + counts.suspect;
  setText(byId("members-figure"), count(others));
  setText(byId("members-note"), [
    counts.suspect + " suspect", counts.dead + " dead", counts.gone + " left",
  ].filter((text) => !text.startsWith("0 ")).join(", ") || (others === 0 ? "none besides this one" : "all alive"));
  byId("peers-empty").hidden = rows.length > 0;
  byId("peers").closest("table").hidden = rows.length === 0;
  keep(byId("peers"), rows, (row) => row.peerId, (row) => el("tr", {},
    el("td", { class: "name" }, el("span", {}), el("code", { title: row.peerId }, row.peerId.slice(0, 12))),
    el("td", {}), el("td", { class: "num" }), el("td", { class: "why" }), el("td", {})),
  (tr, row) => {
    const [name, state, rtt, why, address] = tr.children;
    // What is invisible is eight characters here.
    setText(name.firstElementChild, cut(row.name || "no name", 65));
    const words = (STATE_WORDS[row.state] ?? row.state) + (row.connected && row.state !== "connected" ? ", connected" : "");
    if (state.textContent !== words) state.replaceChildren(stateOf(row.state, words));
    setText(rtt, row.rttMs === null ? "–" : (row.rttMs < 10 ? row.rttMs.toFixed(1) : count(row.rttMs)) + " ms");
    setText(why, row.why);
    setText(address, row.address);
  });
}

let chosenTopic;

function showTopics(topics, self, peers) {
  const [first] = topics.toSorted((a, b) => b.neighbors.length - a.neighbors.length);
  const shown = topics.find(({ topic }) => topic === chosenTopic) ?? first;
  byId("topics-empty").hidden = shown !== undefined;
  byId("topic-legend").hidden = shown === undefined || shown.neighbors.length === 0;
  keep(byId("topics"), topics, ({ topic }) => topic, ({ topic }) => {
    const button = el("button", { type: "button" }, topic);
    button.addEventListener("click", () => {
      chosenTopic = topic;
      refresh();
    });
    return button;
  }, (button, { topic }) => button.setAttribute("aria-pressed", String(topic === shown?.topic)));
  const picture = byId("topic-picture");
  const note = byId("topic-note");
  if (shown === undefined) {
    picture.replaceChildren();
    return setText(note, "");
  }
  const states = new Map(peers.rows.map(({ peerId, state }) => [peerId, state]));
  const neighbors = shown.neighbors.map((one) => ({ ...one, state: states.get(one.peerId) ?? "connected" }));
  const key = JSON.stringify([self.name, neighbors]);
  if (picture.dataset.shown !== key) {
    picture.dataset.shown = key;
    picture.replaceChildren(...(neighbors.length === 0 ? [] : [drawLinks(self, neighbors)]));
  }
  setText(note, [
    neighbors.length === 0 ? "no neighbour yet" : undefined,
    shown.known > 0 ? count(shown.known) + " more known" : undefined,
    count(shown.kept) + " messages kept (" + bytes(shown.keptBytes) + ")",
    shown.subscriptions === 1 ? "1 reader here" : count(shown.subscriptions) + " readers here",
  ].filter(Boolean).join(" · "));
}

function bar(label, part) {
  const inner = el("i");
  const outer = el("div", { class: "bar", role: "progressbar", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "100" }, inner);
  setBar(outer, part);
  return outer;
}

function setBar(outer, part) {
  const percent = Math.floor(100 * Math.min(1, part));
  outer.setAttribute("aria-valuenow", String(percent));
  outer.firstElementChild.style.setProperty("--part", percent + "%");
}

function showTransfers(rows) {
  byId("transfers-empty").hidden = rows.length > 0;
  const label = (row) => (row.direction === "out" ? "To " : "From ") + row.peer;
  keep(byId("transfers"), rows.map((row, index) => ({ ...row, key: label(row) + row.what + index })), ({ key }) => key,
    (row) => el("li", {}, el("div", { class: "line" }, el("span", {}), el("span", { class: "note" })), bar(label(row), 0)),
    (li, row) => {
      const [line, outer] = li.children;
      setText(line.children[0], label(row) + (row.what ? ": " + row.what : ""));
      const far = row.totalBytes === 0 ? bytes(row.bytes) : bytes(row.bytes) + " of " + bytes(row.totalBytes);
      setText(line.children[1], far + (row.paused ? ", paused" : ""));
      setBar(outer, row.totalBytes === 0 ? 0 : row.bytes / row.totalBytes);
    });
}

const percentOf = (part) => Math.floor(100 * Math.min(1, part)) + " %";

function sentTree({ what, over, totalBytes, egressBytes, seconds, receivers, of }, self) {
  const total = Math.max(1, totalBytes);
  const nodes = receivers.map((one, index) => {
    const part = one.bytes / total;
    const note = { asked: "asked", done: "done", failed: "failed", refused: "refused" }[one.state] ?? percentOf(part);
    const id = one.peerId ?? "unknown " + index;
    return { id, parent: one.parent ?? undefined, name: nameOf(one), kind: one.state, part: one.state === "asked" ? 0 : part, note };
  });
  const root = { id: self.peerId, name: nameOf(self), kind: "", part: 1, note: "sends", isSelf: true };
  const done = receivers.filter(({ state }) => state === "done").length;
  const title = (what || "Files") + ", " + bytes(totalBytes) + ": " + done + " of " + of + " have it, " +
    bytes(egressBytes) + " sent from here in " + duration(seconds * 1000) + (over ? ", over" : "");
  return { key: "out " + what, title, nodes: [root, ...nodes] };
}

function comingTree({ from, bytes: came, totalBytes, path, children }, self) {
  const part = came / Math.max(1, totalBytes);
  const way = path.length > 0 ? path : [from, self];
  const nodes = way.map((one, index) => {
    const isSelf = one.peerId === self.peerId;
    const note = isSelf ? percentOf(part) : index === 0 ? "sends" : "passes on";
    return { id: one.peerId, parent: path.length > 0 ? way[index - 1]?.peerId : undefined, name: nameOf(isSelf ? self : one), kind: isSelf ? "receiving" : "", part: isSelf ? part : 1, note, isSelf };
  });
  const below = children.map((one) => ({ id: one.peerId, parent: self.peerId, name: nameOf(one), kind: "receiving", part: 0, note: "from here" }));
  return { key: "in " + from.peerId, title: "From " + nameOf(from) + ", " + bytes(came) + " of " + bytes(totalBytes), nodes: [...nodes, ...below] };
}

function showTrees({ sending, receiving }, self) {
  const all = [...sending.map((one) => sentTree(one, self)), ...receiving.map((one) => comingTree(one, self))];
  byId("trees-empty").hidden = all.length > 0;
  keep(byId("trees"), all.map((one, index) => ({ ...one, key: one.key + index })), ({ key }) => key,
    () => el("div", {}, el("h3", { class: "tree-title" }), el("div", { class: "picture tree", tabindex: "0", role: "group", "aria-label": "Who passes on to whom" })),
    (node, { title, nodes }) => {
      setText(node.children[0], title);
      node.children[1].replaceChildren(drawTree(nodes, title));
    });
}

function showSync(sync) {
  byId("sync-card").hidden = sync.hub === null && sync.folders.length === 0;
  keep(byId("folders"), sync.folders, ({ label, role }) => role + " " + label,
    () => el("div", { class: "folder" }, el("div", { class: "line" }, el("h3"), el("span", { class: "note" })), el("div"), el("ul", { class: "events" })),
    (node, folder) => {
      const [line, coming, events] = node.children;
      setText(line.children[0], folder.label);
      setText(line.children[1], [
        folder.role === "serve" ? "served here" : "joined",
        folder.state,
        folder.syncedMs === null ? "not synced yet" : "synced at " + timeOf(folder.syncedMs),
        folder.conflicts > 0 ? folder.conflicts + (folder.conflicts === 1 ? " conflict" : " conflicts") : "",
      ].filter(Boolean).join(" · "));
      keep(coming, folder.coming, ({ peer }) => peer, ({ peer }) => el("div", {}, el("p", { class: "note" }), bar(peer, 0)), (row, one) => {
        setText(row.children[0], one.peer + ": " + one.files + " of " + one.ofFiles + " files, " + bytes(one.bytes) + " of " + bytes(one.ofBytes));
        setBar(row.children[1], one.ofBytes === 0 ? 1 : one.bytes / one.ofBytes);
      });
      keep(events, folder.last, (one) => one.atMs + one.type + one.path + one.what,
        (one) => el("li", {}, el("time", {}, timeOf(one.atMs)), stateOf(one.type), el("span", {}, one.path && one.what ? one.path + " (" + one.what + ")" : one.path + one.what)), () => {});
    });
  const hub = byId("hub");
  if (sync.hub === null) return hub.replaceChildren();
  if (hub.childElementCount === 0) {
    hub.append(el("div", { class: "line" }, el("h3", {}, "Clients"), el("span", { class: "note" })), el("ul", { class: "rows" }));
  }
  const { clients, of, rates } = sync.hub;
  setText(hub.children[0].children[1], count(of) + " · " + figure(rates.received) + " messages/s in, " + figure(rates.sent) + " out");
  keep(hub.children[1], clients, ({ clientId }) => clientId, () => el("li", { class: "line" }, el("span"), el("span")), (li, one) => {
    setText(li.children[0], one.name + " in " + one.room);
    const words = one.connected ? (one.scope === "write" ? "connected, may write" : "connected, reads") : "away";
    if (li.children[1].textContent !== words) li.children[1].replaceChildren(stateOf(one.connected ? "connected" : "gone", words));
  });
}

/** Parts that this page knows nothing of are shown as they are. */
const KNOWN = new Set(["self", "load", "peers", "topics", "trees", "transfers", "dht", "sync", "counters"]);

function showOthers(parts) {
  const others = Object.entries(parts).filter(([name, part]) => !KNOWN.has(name) && part !== null);
  keep(byId("others"), others, ([name]) => name, ([name]) => el("section", { class: "card span", "aria-label": name }, el("h2", {}, name), el("pre")),
    (section, [, part]) => setText(section.lastElementChild, JSON.stringify(part, undefined, 2)));
}

const timeOf = (ms) => new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

function showCounters(counters) {
  const rows = Object.entries(counters);
  setText(byId("counters-note"), rows.length === 1 ? "1 counter" : rows.length + " counters");
  if (!byId("counters-details").open) return;
  keep(byId("counters"), rows, ([name]) => name, ([name]) => el("li", {}, el("code", {}, name), el("span")),
    (li, [, value]) => setText(li.children[1], count(value)));
}
`;
