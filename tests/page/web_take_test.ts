import { assertEquals, assertThrows } from "@std/assert";
import { WEB_PATH } from "../../src/endpoint/web.ts";
import { until, WebPair } from "../endpoint/web_fixture.ts";

Deno.test("WebPort.take hands the WebSockets of a path over, and nothing else that is asked for there", async () => {
  await using pair = await WebPair.open();
  const taken: string[] = [];
  const registration = pair.web.take("/x", (request, remote, upgrade) => {
    taken.push(`${new URL(request.url).pathname} ${remote.hostname}`);
    const { socket, response } = upgrade();
    socket.send("hello").catch(() => {}); // gone already
    return response;
  });
  for (const path of ["/x", WEB_PATH, "/x/", "/"]) {
    assertThrows(() => path === "/x" || path === WEB_PATH ? pair.web.take(path, refuse) : fail());
    const { connection, status } = await pair.upgrade([], path);
    assertEquals(status, path === "/x" || path === WEB_PATH ? 101 : 404, path);
    connection.close();
  }
  const plain = await fetch(pair.url.replace("ws", "http") + "/x");
  assertEquals([plain.status, (await plain.text()).startsWith("Nothing is here")], [404, true]);
  assertEquals(taken, ["/x 127.0.0.1"]);
  await until(() => pair.metrics.snapshot()["accept.refused.closed"] === 1);

  registration[Symbol.dispose]();
  using again = pair.web.take("/x", refuse);
  registration[Symbol.dispose]();
  const { connection, status } = await pair.upgrade([], "/x");
  assertEquals([status, again !== undefined], [418, true]);
  connection.close();
});

Deno.test("WebPort.close closes the WebSockets of the paths that were taken", async () => {
  await using pair = await WebPair.open();
  pair.web.take("/x", (_request, _remote, upgrade) => upgrade().response);
  const socket = new WebSocket(`${pair.url}/x`);
  const closed = new Promise<number>((resolve) => socket.onclose = ({ code }) => resolve(code));
  await new Promise((resolve) => socket.onopen = resolve);
  await pair.web.close();
  assertEquals(await closed, 1000);
});

function refuse(): Response {
  return new Response("no", { status: 418 });
}

function fail(): never {
  throw new TypeError("not taken");
}

Deno.test("WebPort.take hands over whatever has one more name behind a path, unless that is taken itself", async () => {
  await using pair = await WebPair.open();
  const taken: string[] = [];
  const takes = (by: string) =>
    pair.web.take(by, (request, _remote, _upgrade) => {
      taken.push(`${by} ${new URL(request.url).pathname}`);
      return new Response("", { status: 418 });
    });
  takes("/x/*");
  takes("/x/own");
  for (const path of ["/x/one", "/x/own", "/x", "/x/one/two", "/y/one"]) {
    (await pair.upgrade([], path)).connection.close();
  }
  assertEquals(taken, ["/x/* /x/one", "/x/own /x/own"]);
});
