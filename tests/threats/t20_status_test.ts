import { assertEquals, assertStringIncludes } from "@std/assert";
import { StatusPage } from "../../src/status/status_page.ts";
import type { WebAnswerer, WebTaker } from "../../src/endpoint/web.ts";
import { ManualClock } from "../../src/clock.ts";
import { silentLogger } from "../../src/log.ts";
import { Metrics } from "../../src/metrics.ts";
import { WebPair } from "../endpoint/web_fixture.ts";

const PATHS = ["/", "/status", "/metrics"];

/** A request as somebody writes it, to the byte. @returns the head of the answer, and its body. */
async function ask(port: number, lines: readonly string[]): Promise<string> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const text = [...lines, "Connection: close", "", ""].join("\r\n");
  await conn.write(new TextEncoder().encode(text));
  return await new Response(conn.readable).text();
}

function statusOf(answer: string): number {
  return Number(/^HTTP\/1.1 (\d{3})/.exec(answer)?.[1]);
}

/** A page on a real port of the loopback address. */
async function openPage() {
  const pair = await WebPair.open();
  const { web, metrics } = pair;
  const clock = new ManualClock();
  const source = { name: "self", snapshot: () => "what only this machine may know" };
  const page = new StatusPage({ web, metrics, clock, log: silentLogger }, { sources: [source] });
  return {
    ...{ pair, metrics, port: web.address.port },
    async [Symbol.asyncDispose]() {
      page.close();
      await pair[Symbol.asyncDispose]();
    },
  };
}

const FOREIGN = [
  ["a name that was made to lead here", "evil.example:PORT", undefined, "host"],
  ["such a name, by its own page", "evil.example:PORT", "http://evil.example:PORT", "host"],
  ["another address", "192.0.2.7:PORT", undefined, "host"],
  ["no host at all", "", undefined, "host"],
  ["a page of another site", "127.0.0.1:PORT", "https://evil.example", "origin"],
  ["a page of another port here", "127.0.0.1:PORT", "http://127.0.0.1:1", "origin"],
  ["a page from a file", "127.0.0.1:PORT", "null", "origin"],
] as const;

Deno.test("T20 requests with a foreign Host or Origin get nothing of the status page, its socket and /metrics", async () => {
  await using scene = await openPage();
  const { port, metrics } = scene;
  const own = `127.0.0.1:${port}`;
  let refused = 0;
  for (const [what, hostText, originText, why] of FOREIGN) {
    const of = (text: string) => text.replace("PORT", `${port}`);
    const origin = originText === undefined ? [] : [`Origin: ${of(originText)}`];
    for (const path of PATHS) {
      const answer = await ask(port, [`GET ${path} HTTP/1.1`, `Host: ${of(hostText)}`, ...origin]);
      // The runtime may refuse an empty host before anybody is asked.
      assertEquals([403, 400].includes(statusOf(answer)), true, `${what} ${path}`);
      assertEquals(/access-control|only this machine|kith_|<script/i.test(answer), false, what);
      if (statusOf(answer) === 403) refused++;
    }
    const upgrade = [
      ...["GET /status HTTP/1.1", `Host: ${of(hostText)}`, "Upgrade: websocket"],
      ...["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng==", ...origin],
    ];
    const answer = await ask(port, upgrade);
    assertEquals([403, 400].includes(statusOf(answer)), true, `${what}, socket`);
    if (statusOf(answer) === 403) refused++;
    assertEquals((metrics.snapshot()[`status.refused.${why}`] ?? 0) > 0, true, what);
  }
  const { "status.refused.host": host = 0, "status.refused.origin": origin = 0 } = metrics
    .snapshot();
  assertEquals(host + origin, refused);
  for (const path of PATHS) {
    for (const headers of [[], [`Origin: http://${own}`]]) {
      const answer = await ask(port, [`GET ${path} HTTP/1.1`, `Host: ${own}`, ...headers]);
      assertEquals(statusOf(answer), 200, path);
      assertStringIncludes(answer, "cross-origin-resource-policy: same-origin");
      assertStringIncludes(answer, "x-frame-options: DENY");
    }
    const named = await ask(port, [`GET ${path} HTTP/1.1`, `Host: localhost:${port}`]);
    assertEquals(statusOf(named), 200, path);
  }
});

Deno.test("T20 nothing but GET and HEAD is answered, whatever is sent along", async () => {
  await using scene = await openPage();
  const host = `Host: 127.0.0.1:${scene.port}`;
  for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"]) {
    for (const path of PATHS) {
      const answer = await ask(scene.port, [
        `${method} ${path} HTTP/1.1`,
        host,
        "Content-Length: 0",
      ]);
      assertEquals(statusOf(answer), 405, `${method} ${path}`);
      assertStringIncludes(answer, "allow: GET, HEAD");
    }
  }
});

/** A page whose requests come from where the test says. */
function pageFor(allowRemote: boolean) {
  const [answerers, takers] = [new Map<string, WebAnswerer>(), new Map<string, WebTaker>()];
  const keep = <T>(all: Map<string, T>) => (path: string, one: T) => {
    all.set(path, one);
    return { [Symbol.dispose]: () => void all.delete(path) };
  };
  const web = { serve: keep(answerers), take: keep(takers) };
  const metrics = new Metrics();
  const parts = { web, metrics, clock: new ManualClock(), log: silentLogger };
  const page = new StatusPage(parts, { allowRemote });
  const from = (hostname: string, host: string, origin?: string): number[] => {
    const headers = { host, ...(origin === undefined ? {} : { origin }) };
    const remote = { hostname, port: 9 };
    const plain = [...answerers].map(([path, answer]) => {
      return answer(new Request(`http://x${path}`, { headers }), remote).status;
    });
    const socket = [...takers.values()].map((take) => {
      const upgrade = () => {
        throw new Error("let in");
      };
      try {
        return take(new Request("http://x/status", { headers }), remote, upgrade).status;
      } catch {
        return 200;
      }
    });
    return [...new Set([...plain, ...socket])];
  };
  return { from, metrics, [Symbol.dispose]: () => page.close() };
}

Deno.test("T20 callers of other machines get nothing, unless that is asked for", () => {
  using here = pageFor(false);
  assertEquals(here.from("127.0.0.1", "127.0.0.1:3488"), [200]);
  assertEquals(here.from("::1", "[::1]:3488"), [200]);
  for (const address of ["192.0.2.7", "fe80::1%eth0", "10.0.0.2", "2001:db8::1"]) {
    assertEquals(here.from(address, "127.0.0.1:3488"), [403], address);
    assertEquals(here.from(address, "192.0.2.1:3488"), [403], address);
  }
  assertEquals(here.metrics.snapshot()["status.refused.remote"], 32);
  using anywhere = pageFor(true);
  assertEquals(anywhere.from("192.0.2.7", "192.0.2.1:3488"), [200]);
  assertEquals(anywhere.from("192.0.2.7", "192.0.2.1:3488", "http://192.0.2.1:3488"), [200]);
  assertEquals(anywhere.from("192.0.2.7", "evil.example:3488"), [403]);
  assertEquals(anywhere.from("192.0.2.7", "192.0.2.1:3488", "http://evil.example"), [403]);
});
