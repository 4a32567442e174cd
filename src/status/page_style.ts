/**
 * The status page's style: light and dark as the reader's system has it.
 *
 * @module
 */

/** What is in the page's `style`. */
export const PAGE_STYLE: string = String.raw`
:root {
  color-scheme: light dark;
  --ground: #f4f6f5; --card: #ffffff; --line: #e1e7e4; --soft: #eef2f0;
  --text: #1c2523; --muted: #5c6966; --accent: #22766a; --accent-soft: #d7ebe6; --second: #8a6a2f;
  --good: #2a7f4f; --warn: #96660c; --bad: #b3372f; --gone: #6c7774;
  --shadow: 0 1px 2px rgb(20 40 35 / 5%), 0 4px 16px rgb(20 40 35 / 4%);
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0f1514; --card: #171f1e; --line: #273230; --soft: #1e2827;
    --text: #e3ebe8; --muted: #98a7a2; --accent: #66c2b0; --accent-soft: #1d3a35; --second: #d3b06f;
    --good: #67c48d; --warn: #e0b155; --bad: #ef8a80; --gone: #8b9995;
    --shadow: none;
  }
}
*, *::before, *::after { box-sizing: border-box; }
[hidden] { display: none !important; }
body {
  margin: 0 auto; padding: 0 24px 40px; max-width: 1240px; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums;
}
h1, h2, h3, p, ul, dl { margin: 0; padding: 0; }
h2 { font-size: 13px; font-weight: 600; color: var(--muted); letter-spacing: .01em; }
h3 { font-size: 15px; font-weight: 600; }
ul { list-style: none; }
code { font: 13px/1.5 ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", monospace; }
a { color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }

.top { display: flex; align-items: center; gap: 14px; padding: 24px 2px 20px; }
.mark { flex: none; fill: var(--accent); stroke: var(--accent); stroke-width: 2; }
.mark path { fill: none; }
.who { min-width: 0; flex: 1; }
h1 { font-size: 22px; line-height: 1.25; font-weight: 650; overflow-wrap: anywhere; }
.sub { color: var(--muted); font-size: 13px; display: flex; gap: 4px 12px; flex-wrap: wrap; }
.live {
  flex: none; display: inline-flex; align-items: center; gap: 8px; padding: 5px 12px; border-radius: 99px;
  background: var(--soft); color: var(--muted); font-size: 13px; font-weight: 550;
}
.dot { width: 8px; height: 8px; border-radius: 50%; background: currentColor; }
.live.on { background: var(--accent-soft); color: var(--accent); }
.live.lost { color: var(--bad); }
button {
  font: inherit; font-size: 13px; color: var(--text); background: var(--card); border: 1px solid var(--line);
  border-radius: 99px; padding: 4px 12px; cursor: pointer;
}
button:hover { border-color: var(--accent); }
.stale main { opacity: .55; }
.notice { padding: 16px; }

main { display: grid; gap: 16px; grid-template-columns: repeat(2, minmax(0, 1fr)); }
.tiles { grid-column: 1 / -1; display: grid; gap: 16px; grid-template-columns: 1fr 1fr 2fr 2fr; }
.tile, .card {
  background: var(--card); border: 1px solid var(--line); border-radius: 12px; box-shadow: var(--shadow);
  padding: 16px 18px; min-width: 0;
}
.card > h2 { margin-bottom: 12px; }
.span, #transfers-card:has(+ [hidden]) { grid-column: 1 / -1; }
.figure { font-size: 28px; line-height: 1.3; font-weight: 600; letter-spacing: -.01em; white-space: nowrap; }
.rate { display: flex; align-items: flex-end; gap: 16px; }
.rate .figure { flex: none; min-width: 4.2em; }
.spark { flex: 1; min-width: 0; height: 38px; }
.spark svg { display: block; width: 100%; height: 100%; }
.note, .empty { color: var(--muted); font-size: 13px; }
.key { display: inline-block; width: 10px; height: 3px; border-radius: 2px; vertical-align: middle; margin: 0 5px 2px 0; }
.key.in { background: var(--accent); }
.key.out { background: var(--second); }
.caveat { margin-top: 8px; }
.tiles > .caveat { grid-column: 1 / -1; }
.failed > .caveat { color: var(--bad); }
.card.failed > :not(h2, details, .caveat) { display: none; }
.figure + .note, .rate + .note { overflow-wrap: anywhere; }
.note .key:not(:first-child) { margin-left: 12px; }
.spark .in { stroke: var(--accent); }
.spark .out { stroke: var(--second); }
.spark path { fill: none; stroke-width: 1.5; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
.spark .area { fill: var(--accent-soft); stroke: none; opacity: .7; }

.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; font-size: 12px; font-weight: 550; color: var(--muted); padding: 0 16px 6px 0; }
td { padding: 8px 16px 8px 0; border-top: 1px solid var(--line); vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
td.num, th.num { text-align: right; white-space: nowrap; }
td.name { font-weight: 550; min-width: 9em; overflow-wrap: anywhere; }
td.name code { display: block; white-space: nowrap; font-size: 12px; font-weight: 400; color: var(--muted); }
td.why { color: var(--muted); overflow-wrap: anywhere; min-width: 12em; }
.state { display: inline-flex; align-items: center; gap: 7px; white-space: nowrap; color: var(--gone); }
.state.alive, .state.connected, .state.done { color: var(--good); }
.state.suspect, .state.asked, .state.conflict, .state.skipped { color: var(--warn); }
.state.dead, .state.failed, .state.refused { color: var(--bad); }
.state.receiving, .state.changed { color: var(--accent); }

.chips { display: flex; flex-wrap: wrap; gap: 8px; }
.chips button { max-width: 100%; overflow: hidden; text-overflow: ellipsis; }
.chips button[aria-pressed="true"] { background: var(--accent-soft); border-color: transparent; color: var(--accent); font-weight: 550; }
.picture { overflow-x: auto; }
.picture svg { display: block; margin: 0 auto; max-width: 100%; height: auto; }
.picture.tree svg { max-width: none; margin: 0; }
svg text { fill: var(--text); font-size: 13px; }
svg .label { text-anchor: middle; }
svg .inner { text-anchor: middle; font-size: 12px; font-weight: 600; fill: var(--accent); }
svg .self .inner { fill: var(--card); }
svg .faint { fill: var(--muted); font-size: 12px; }
svg .node circle { fill: var(--card); stroke: var(--accent); stroke-width: 1.5; }
svg .node.self circle { fill: var(--accent); }
svg .node.suspect circle { stroke: var(--warn); }
svg .node.dead circle, svg .node.gone circle { stroke: var(--gone); stroke-dasharray: 2 3; }
.edge { fill: none; stroke: var(--accent); stroke-width: 2; }
.edge.lazy { stroke: var(--gone); stroke-width: 1.5; stroke-dasharray: 4 5; }
.edge.past { stroke: var(--line); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; justify-content: center; font-size: 13px; color: var(--muted); margin: 4px 0 8px; }
.legend svg { vertical-align: middle; margin-right: 4px; }
#topic-note { text-align: center; }
svg .box { fill: var(--soft); stroke: var(--line); }
svg .self .box { fill: var(--accent-soft); stroke: var(--accent); }
svg .track { fill: var(--line); }
svg .fill { fill: var(--accent); }
svg .done .fill { fill: var(--good); }
svg .failed .fill, svg .refused .fill { fill: var(--bad); }
svg .percent { text-anchor: end; }
svg .done .percent { fill: var(--good); }
svg .failed .percent, svg .refused .percent { fill: var(--bad); }

.rows > li { font-size: 14px; padding: 9px 0; border-top: 1px solid var(--line); }
.rows > li:first-child { border-top: 0; padding-top: 0; }
.line { display: flex; gap: 4px 12px; justify-content: space-between; flex-wrap: wrap; }
.line > :first-child { overflow-wrap: anywhere; }
.bar { height: 6px; border-radius: 3px; background: var(--soft); overflow: hidden; margin-top: 6px; }
.bar > i { display: block; height: 100%; width: var(--part, 0%); border-radius: 3px; background: var(--accent); transition: width .4s; }
.tree-title { margin: 12px 0 8px; }
.tree-title:first-child { margin-top: 0; }
.folder + .folder, #hub:not(:empty) { margin-top: 18px; }
.events { font-size: 13px; margin-top: 8px; }
.events li { display: grid; grid-template-columns: 5.2em 7.4em 1fr; gap: 8px; padding: 3px 0; }
.events time { color: var(--muted); }
.events span:last-child { overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: 7px 18px; font-size: 14px; }
.facts dt { color: var(--muted); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
#others { display: contents; }
pre { margin: 0; font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; display: flex; align-items: baseline; gap: 10px; }
summary::before { content: ""; width: 6px; height: 6px; border: solid var(--muted); border-width: 0 1.5px 1.5px 0; transform: rotate(-45deg); }
details[open] > summary::before { transform: rotate(45deg); }
.counters { columns: 3 260px; column-gap: 36px; margin-top: 14px; font-size: 13px; }
.counters li { display: flex; justify-content: space-between; gap: 12px; padding: 3px 0; border-bottom: 1px solid var(--line); break-inside: avoid; }
.counters code { font-size: 12px; overflow-wrap: anywhere; }
footer { display: flex; gap: 16px; justify-content: space-between; padding: 20px 2px 0; font-size: 13px; color: var(--muted); }

@media (max-width: 860px) {
  body { padding: 0 14px 32px; }
  main { grid-template-columns: minmax(0, 1fr); }
  .tiles { grid-template-columns: 1fr 1fr; }
  .tile.wide { grid-column: 1 / -1; }
  .top { flex-wrap: wrap; }
}
@media (prefers-reduced-motion: reduce) { .bar > i { transition: none; } }
`;
