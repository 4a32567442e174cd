/**
 * The status page's pictures: sparklines, the links of a topic, the tree of a broadcast. Plain script, for browsers.
 *
 * Text of others is only ever given to `textContent` and `setAttribute`: it cannot become markup.
 *
 * @module
 */

/** The first part of the page's script. */
export const PAGE_DRAWING: string = String.raw`
const SVG = "http://www.w3.org/2000/svg";

function make(node, props, children) {
  for (const [key, value] of Object.entries(props ?? {})) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
const el = (name, props, ...children) => make(document.createElement(name), props, children);
const draw = (name, props, ...children) => make(document.createElementNS(SVG, name), props, children);
const byId = (id) => document.getElementById(id);

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Keeps the children of a list or table as the items are, in their order, without touching what stays. */
function keep(container, items, keyOf, create, update) {
  const before = new Map([...container.children].map((node) => [node.dataset.key, node]));
  let at = container.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let node = before.get(key);
    if (node === undefined) {
      node = create(item);
      node.dataset.key = key;
    }
    before.delete(key);
    update(node, item);
    if (node === at) at = at.nextElementSibling;
    else container.insertBefore(node, at);
  }
  for (const node of before.values()) node.remove();
}

const cut = (text, most) => text.length > most ? text.slice(0, most - 1) + "…" : text;
const shortId = (id) => id.slice(0, 10);
const nameOf = ({ name, peerId }) => name || shortId(peerId ?? "") || "somebody";
const initials = (text) => (text.match(/[\p{L}\p{N}'’]+/gu) ?? []).slice(0, 2).map(([first]) => first).join("").toUpperCase() || "·";

function count(value) {
  return Math.round(value).toLocaleString("en");
}

function figure(value) {
  if (value >= 99.95 || value === 0) return count(value);
  return value.toFixed(value < 9.995 ? 1 : 0);
}

function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  for (; value >= 999.5 && at < units.length - 1; at++) value /= 1000;
  return (at === 0 ? count(value) : figure(value)) + " " + units[at];
}

function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days > 0) return days + " d " + hours + " h";
  if (hours > 0) return hours + " h " + minutes + " min";
  return minutes > 0 ? minutes + " min " + (seconds % 60) + " s" : seconds + " s";
}

/** Two rates over time: what comes in is filled, what goes out is a line. */
function sparkline(samples) {
  if (samples.length < 2) return "";
  const most = Math.max(30, samples.length);
  const [width, height] = [300, 38];
  const top = Math.max(1, ...samples.flat());
  const path = (which) => samples.map((pair, index) => {
    const x = width - (samples.length - 1 - index) * (width / (most - 1));
    return (index === 0 ? "M" : "L") + x.toFixed(1) + " " + (height - 2 - pair[which] / top * (height - 5)).toFixed(1);
  }).join("");
  const first = width - (samples.length - 1) * (width / (most - 1));
  const area = path(0) + "L" + width + " " + height + "L" + first.toFixed(1) + " " + height + "Z";
  return draw("svg", { viewBox: "0 0 " + width + " " + height, preserveAspectRatio: "none", "aria-hidden": "true" },
    draw("path", { class: "area", d: area }), draw("path", { class: "out", d: path(1) }), draw("path", { class: "in", d: path(0) }));
}

/** This peer in the middle, its neighbours in a topic around it. */
function drawLinks(self, neighbors) {
  const [width, height, cx, cy] = [560, 282, 280, 138];
  const radius = 20;
  const svg = draw("svg", { viewBox: "0 0 " + width + " " + height, width, height, role: "img" });
  const told = neighbors.map((one) => nameOf(one) + (one.eager ? " (sends messages)" : " (tells what it has)"));
  svg.append(draw("title", {}, "Links of this peer: " + (told.join(", ") || "none")));
  const node = (x, y, label, kind, name) => {
    const below = y >= cy - 10 ? y + radius + 17 : y - radius - 8;
    return draw("g", { class: "node " + kind }, draw("title", {}, name),
      draw("circle", { cx: x, cy: y, r: kind === "self" ? radius + 4 : radius }),
      draw("text", { class: "inner", x, y: y + 4 }, initials(label)),
      ...(kind === "self" ? [] : [draw("text", { class: "label", x, y: below }, cut(label, 18))]));
  };
  const placed = neighbors.toSorted((a, b) => a.peerId < b.peerId ? -1 : 1).map((one, index) => {
    const turn = 2 * Math.PI * (index + (neighbors.length % 2 ? .25 : .5)) / neighbors.length - Math.PI;
    return { one, x: cx + 205 * Math.cos(turn), y: cy + 94 * Math.sin(turn) };
  });
  for (const { one, x, y } of placed) {
    svg.append(draw("line", { class: "edge " + (one.eager ? "eager" : "lazy"), x1: cx, y1: cy, x2: x, y2: y }));
  }
  for (const { one, x, y } of placed) svg.append(node(x, y, nameOf(one), one.state, nameOf(one) + " " + one.peerId));
  svg.append(node(cx, cy, nameOf(self), "self", nameOf(self) + " " + self.peerId));
  return svg;
}

/** A tree from left to right. Nodes: { id, parent, name, kind, part, note }; the first is the root. */
function drawTree(nodes, label) {
  const [boxHeight, stepY] = [44, 56];
  const known = new Map(nodes.map((node) => [node.id, { ...node, children: [] }]));
  const [root] = known.values();
  for (const node of known.values()) {
    if (node === root) continue;
    const isBelow = (above) => {
      for (let left = known.size; above !== undefined && left > 0; left--) {
        if (above === node) return true;
        above = known.get(above.parent);
      }
      return false;
    };
    const parent = known.get(node.parent);
    // Two may name each other for a moment, as the tree changes: then one of them waits.
    node.loose = parent === undefined || isBelow(parent);
    (node.loose ? root : parent).children.push(node);
    if (node.loose) node.parent = undefined;
  }
  let [rows, deepest] = [0, 0];
  const place = (node, depth) => {
    deepest = Math.max(deepest, depth);
    node.depth = depth;
    for (const child of node.children) place(child, depth + 1);
    const [first, last] = [node.children[0], node.children.at(-1)];
    node.y = first === undefined ? 1 + rows++ * stepY : (first.y + last.y) / 2;
  };
  place(root, 0);
  // A chain of some length shall still be seen as a whole.
  const [boxWidth, gap, letters] = deepest > 4 ? [136, 26, 14] : [194, 44, 19];
  const stepX = boxWidth + gap;
  for (const node of known.values()) node.x = 1 + node.depth * stepX;
  const [width, height] = [deepest * stepX + boxWidth + 2, Math.max(1, rows) * stepY - (stepY - boxHeight) + 2];
  const svg = draw("svg", { viewBox: "0 0 " + width + " " + height, width, height, role: "img" });
  const told = nodes.map(({ name, note }) => name + ": " + note).join("; ");
  svg.append(draw("title", {}, label + ". " + told));
  for (const node of known.values()) {
    const parent = known.get(node.parent);
    if (parent === undefined) continue;
    const [x1, y1, x2, y2] = [parent.x + boxWidth, parent.y + boxHeight / 2, node.x, node.y + boxHeight / 2];
    const middle = (x1 + x2) / 2;
    const kind = node.kind === "done" ? "past" : "eager";
    svg.append(draw("path", { class: "edge " + kind, d: "M" + x1 + " " + y1 + "C" + middle + " " + y1 + " " + middle + " " + y2 + " " + x2 + " " + y2 }));
  }
  for (const { x, y, name, kind, part, note, isSelf } of known.values()) {
    svg.append(draw("g", { class: kind + (isSelf ? " self" : "") }, draw("title", {}, name + ": " + note),
      draw("rect", { class: "box", x, y, width: boxWidth, height: boxHeight, rx: 9 }),
      draw("text", { x: x + 12, y: y + 19 }, cut(name, letters - note.length)),
      draw("text", { class: "faint percent", x: x + boxWidth - 12, y: y + 19 }, note),
      draw("rect", { class: "track", x: x + 12, y: y + 29, width: boxWidth - 24, height: 5, rx: 2.5 }),
      draw("rect", { class: "fill", x: x + 12, y: y + 29, width: (boxWidth - 24) * Math.min(1, part), height: 5, rx: 2.5 })));
  }
  return svg;
}
`;
