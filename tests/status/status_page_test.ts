import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import type { WebTaker } from "../../src/endpoint/web.ts";
import { ClosedError } from "../../src/errors.ts";
import { silentLogger } from "../../src/log.ts";
import { Metrics } from "../../src/metrics.ts";
import { LOOK_EVERY_MS, MAX_VIEWERS, StatusPage } from "../../src/status/status_page.ts";
import type { MessageSocket } from "../../src/transport/mod.ts";
import { decodeWeaver } from "../../src/wire/weaver.ts";
import { settle } from "../endpoint/fixture.ts";
import { until } from "../endpoint/web_fixture.ts";
import { StatusScene, told } from "./fixture.ts";
import { readMetrics } from "./prometheus.ts";

Deno.test("StatusPage answers GET and HEAD at its three paths, and leaves the others alone", async () => {
  await using scene = await StatusScene.open();
  const table = [["/", "text/html"], ["/status", "text/html"], ["/metrics", "text/plain"]] as const;
  for (const [path, type] of table) {
    const response = await fetch(scene.origin + path);
    const body = await response.text();
    const { headers, status } = response;
    assertEquals([status, headers.get("content-type")?.startsWith(type)], [200, true], path);
    assertEquals(headers.get("cache-control"), "no-store");
    assertEquals(headers.get("x-content-type-options"), "nosniff");
    assertMatch(
      headers.get("content-security-policy") ?? "",
      /default-src 'none'.*frame-ancestors 'none'/,
    );
    const head = await fetch(scene.origin + path, { method: "HEAD" });
    assertEquals([head.status, await head.text(), body.length > 0 || path === "/metrics"], [
      200,
      "",
      true,
    ]);
  }
  const other = await fetch(`${scene.origin}/status/`);
  assertEquals([other.status, (await other.text()).startsWith("Nothing is here")], [404, true]);
});

Deno.test("StatusPage shows the registry and the figures of its sources at /metrics", async () => {
  await using scene = await StatusScene.open({
    sources: [{
      name: "a",
      snapshot: () => 1,
      figures: () => [{ name: "a_things", help: "Things", type: "gauge", value: 5 }],
    }],
  });
  scene.pair.metrics.counter("link.stale").add(2);
  const response = await fetch(`${scene.origin}/metrics`);
  assertEquals(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const read = readMetrics(await response.text());
  assertEquals([read.get("kith_a_things")?.samples, read.get("kith_link_stale_total")?.samples], [
    new Map([["", 5]]),
    new Map([["", 2]]),
  ]);
});

Deno.test("StatusPage tells who looks all, then what is new, in DataWeaver messages", async () => {
  let [a, asked] = [1, 0];
  const b = { text: "<b>" };
  const count = () => {
    asked++;
    return a;
  };
  await using scene = await StatusScene.open({ sources: [{ name: "a", snapshot: count }] });
  scene.page.add({ name: "b", snapshot: () => b });
  scene.clock.advance(10 * LOOK_EVERY_MS);
  assertEquals(asked, 0); // nobody looks
  const first = await scene.viewer();
  const text = await first.text();
  const { type, peerId, msgId } = decodeWeaver(text);
  assertEquals([type, peerId, msgId], ["data", null, null]);
  const { header, content } = JSON.parse(text);
  assertEquals([header, content.parts, content.atMs], [
    "0status",
    { a: 1, b },
    scene.clock.wallMs(),
  ]);

  a = 2;
  scene.clock.advance(LOOK_EVERY_MS);
  const news = await told(first);
  assertEquals([news.header, news.content.parts], ["0status update", { a: 2 }]);
  const second = await scene.viewer();
  assertEquals((await told(second)).content.parts, { a: 2, b });
  assertEquals([scene.page.viewers, (await told(first)).content.parts], [2, {}]);

  for (const viewer of [first, second]) viewer.close();
  await until(() => scene.page.viewers === 0);
  const before = asked;
  scene.clock.advance(10 * LOOK_EVERY_MS);
  assertEquals(asked, before);
});

Deno.test("StatusPage takes no message: whoever sends one is closed, and the others are not", async () => {
  await using scene = await StatusScene.open();
  const [quiet, loud] = [await scene.viewer(), await scene.viewer()];
  loud.raw('{"header":"1send peer list","content":null,"peerId":null,"msgId":"1"}');
  assertEquals((await loud.closed).code, 4400);
  await until(() => scene.page.viewers === 1);
  assertEquals(scene.counters["status.cut.takesNothing"], 1);
  await told(quiet);
});

Deno.test("StatusPage tells who has not read all that it missed once it reads again, and cuts it off later", async () => {
  const [clock, metrics] = [new ManualClock(), new Metrics()];
  const reader = new SlowReader();
  const visit = Promise.withResolvers<WebTaker>();
  const nothing = { [Symbol.dispose]() {} };
  const web = {
    serve: () => nothing,
    take: (_path: string, taker: WebTaker) => {
      visit.resolve(taker);
      return nothing;
    },
  };
  let n = 0;
  const sources = [{ name: "n", snapshot: () => n }, { name: "same", snapshot: () => "same" }];
  using page = new StatusPage({ web, clock, metrics, log: silentLogger }, { sources });
  const request = new Request("http://127.0.0.1/status", { headers: { host: "127.0.0.1" } });
  const upgrade = () => ({ socket: reader, response: new Response() });
  (await visit.promise)(request, reader.remote, upgrade);
  const look = async () => {
    n++;
    clock.advance(LOOK_EVERY_MS);
    await settle();
  };
  await look();
  await look();
  assertEquals([page.viewers, reader.parts], [1, [{ n: 0, same: "same" }]]);
  reader.read();
  await settle();
  await look();
  assertEquals(reader.parts, [{ n: 3, same: "same" }]); // it was not told of 1 and 2
  reader.read();
  await settle();
  await look();
  assertEquals(reader.parts, [{ n: 4 }]);
  for (let seconds = 0; seconds < 30; seconds++) await look();
  assertEquals([page.viewers, reader.sent], [1, 3]);
  await look();
  assertEquals([page.viewers, metrics.snapshot()], [0, { "status.cut.slow": 1 }]);
});

Deno.test("StatusPage lets a bounded number look at the same time", async () => {
  await using scene = await StatusScene.open();
  for (let n = 0; n < MAX_VIEWERS; n++) await scene.viewer();
  await assertRejects(() => scene.viewer(), ClosedError);
  assertEquals(scene.counters["status.refused.limit"], 1);
});

Deno.test("StatusPage.close closes the sockets, gives its paths back, and is harmless when repeated", async () => {
  await using scene = await StatusScene.open();
  const viewer = await scene.viewer();
  const { web, metrics } = scene.pair;
  const parts = { web, metrics, clock: scene.clock, log: scene.journal };
  assertThrows(() => new StatusPage(parts), TypeError, "somebody has it already");
  scene.page.close();
  scene.page.close();
  assertEquals((await viewer.closed).code, 1000);
  const response = await fetch(`${scene.origin}/metrics`);
  await response.text();
  assertEquals(response.status, 404);
  new StatusPage(parts).close();
});

/** The other end of a socket, which reads when it is told to. */
class SlowReader implements MessageSocket {
  readonly remote = { hostname: "127.0.0.1", port: 9 };
  readonly maxMessageBytes = 1;
  readonly #closed = Promise.withResolvers<void>();
  readonly closed = this.#closed.promise;
  parts: unknown[] = [];
  sent = 0;
  #taken = Promise.withResolvers<void>();

  send(message: string | Uint8Array): Promise<void> {
    this.sent++;
    this.parts.push(JSON.parse(String(message)).content.parts);
    this.#taken = Promise.withResolvers();
    return this.#taken.promise;
  }

  read(): void {
    this.parts = [];
    this.#taken.resolve();
  }

  async receive(): Promise<undefined> {
    await this.closed;
  }

  close(): void {
    this.#closed.resolve();
  }
}
