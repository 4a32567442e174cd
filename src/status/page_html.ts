/**
 * The status page's markup: where everything goes. All text of peers comes later, from the script, as text.
 *
 * @module
 */

/** What is in the page's body, without its script. */
export const PAGE_BODY: string = String.raw`
<header class="top">
  <svg class="mark" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
    <path d="M8 24 16 8l8 16z"/><circle cx="16" cy="8" r="5"/><circle cx="8" cy="24" r="5"/>
    <circle cx="24" cy="24" r="5"/>
  </svg>
  <div class="who">
    <h1 id="name">kith</h1>
    <p class="sub"><code id="short-id"></code><span id="uptime"></span></p>
  </div>
  <p class="live" id="live" role="status"><span class="dot" aria-hidden="true"></span
    ><span id="live-text">Connecting</span></p>
  <button type="button" id="retry" hidden>Try now</button>
</header>
<noscript><p class="notice">This page needs its script, which is part of it, to show anything.</p></noscript>
<main>
  <section class="tiles" aria-label="Right now">
    <div class="tile"><h2>Members</h2><p class="figure" id="members-figure">–</p>
      <p class="note" id="members-note">&nbsp;</p></div>
    <div class="tile"><h2>Connections</h2><p class="figure" id="links-figure">–</p>
      <p class="note" id="links-note">&nbsp;</p></div>
    <div class="tile wide"><h2>Messages per second</h2>
      <div class="rate"><p class="figure" id="messages-figure">–</p><div class="spark" id="messages-spark"></div></div>
      <p class="note" id="messages-note">&nbsp;</p></div>
    <div class="tile wide"><h2>Bytes per second</h2>
      <div class="rate"><p class="figure" id="bytes-figure">–</p><div class="spark" id="bytes-spark"></div></div>
      <p class="note" id="bytes-note">&nbsp;</p></div>
  </section>
  <section class="card span" aria-labelledby="peers-title">
    <h2 id="peers-title">Peers and members</h2>
    <div class="scroll" tabindex="0" role="region" aria-labelledby="peers-title">
      <table>
        <thead><tr><th scope="col">Name</th><th scope="col">State</th>
          <th scope="col" class="num">Round trip</th><th scope="col">Why</th>
          <th scope="col">Address</th></tr></thead>
        <tbody id="peers"></tbody>
      </table>
    </div>
    <p class="empty" id="peers-empty">Nobody else is known yet.</p>
  </section>
  <section class="card" aria-labelledby="topics-title">
    <h2 id="topics-title">Gossip</h2>
    <div class="chips" id="topics" role="group" aria-label="Topics"></div>
    <div class="picture" id="topic-picture"></div>
    <p class="legend" id="topic-legend" hidden>
      <span><svg width="26" height="8" aria-hidden="true"><path class="edge eager" d="M1 4h24"/></svg> sends messages</span>
      <span><svg width="26" height="8" aria-hidden="true"><path class="edge lazy" d="M1 4h24"/></svg> tells what it has</span>
    </p>
    <p class="note" id="topic-note"></p>
    <p class="empty" id="topics-empty">It takes part in no topic.</p>
  </section>
  <section class="card" aria-labelledby="self-title">
    <h2 id="self-title">This peer</h2>
    <dl class="facts" id="facts"></dl>
  </section>
  <section class="card span" aria-labelledby="trees-title">
    <h2 id="trees-title">Broadcasts</h2>
    <div id="trees"></div>
    <p class="empty" id="trees-empty">None is running.</p>
  </section>
  <section class="card" id="transfers-card" aria-labelledby="transfers-title">
    <h2 id="transfers-title">Transfers</h2>
    <ul class="rows" id="transfers"></ul>
    <p class="empty" id="transfers-empty">Nothing is on its way.</p>
  </section>
  <section class="card" id="sync-card" aria-labelledby="sync-title" hidden>
    <h2 id="sync-title">Folders</h2>
    <div id="folders"></div>
    <div id="hub"></div>
  </section>
  <div class="span" id="others"></div>
  <section class="card span" aria-labelledby="counters-title">
    <details id="counters-details">
      <summary><h2 id="counters-title">Counters</h2><span class="note" id="counters-note"></span></summary>
      <ul class="counters" id="counters"></ul>
    </details>
  </section>
</main>
<footer><span id="version"></span><a href="/metrics">metrics</a></footer>
`;
