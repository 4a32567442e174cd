/**
 * What is particular to real TCP: IPv6, errors of accept, permissions.
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { ClosedError, PeerError } from "../../src/errors.ts";
import type { LogFields, Logger } from "../../src/log.ts";
import { silentLogger } from "../../src/log.ts";
import { connectTcp, listenTcp } from "../../src/transport/mod.ts";
import { fromRuntimeAddress, zoneOf } from "../../src/transport/socket_address.ts";

Deno.test("listenTcp and connectTcp speak IPv6, and write it without brackets", async () => {
  const listener = await listenTcp({ hostname: "::1" });
  const [client, server] = await Promise.all([connectTcp(listener.address), listener.accept()]);
  assertEquals(listener.address.hostname, "::1");
  assertEquals(client.remote, listener.address);
  assertEquals(server?.remote.hostname, "::1");
  client.close();
  server?.close();
  listener.close();
});

Deno.test("fromRuntimeAddress keeps the zone on link-local addresses, and only there", () => {
  const zone = zoneOf("fe80::1%eth0");
  assertEquals(zone, "%eth0");
  assertEquals(zoneOf("127.0.0.1"), "");
  assertEquals(fromRuntimeAddress({ hostname: "fe80::2", port: 7 }, zone), {
    hostname: "fe80::2%eth0",
    port: 7,
  });
  assertEquals(fromRuntimeAddress({ hostname: "2001:db8::2", port: 7 }, zone), {
    hostname: "2001:db8::2",
    port: 7,
  });
});

Deno.test("Listener accepts again after a shortage of descriptors, and waits longer each time", async () => {
  const { logger, lines } = recordingLogger();
  const emfile = new Error("Too many open files (os error 24)");
  using _ = failingAccepts([emfile, emfile, emfile]);
  const listener = await listenTcp({ hostname: "127.0.0.1", logger });
  const [client, server] = await Promise.all([connectTcp(listener.address), listener.accept()]);
  assert(server !== undefined);
  assertEquals(lines.map(({ level, fields }) => [level, fields?.waitMs]), [
    ["warn", 5],
    ["warn", 10],
    ["warn", 20],
  ]);
  client.close();
  server.close();
  listener.close();
});

Deno.test("Listener closes at once while it waits for descriptors", async () => {
  const waiting = Promise.withResolvers<void>();
  const logger = { ...silentLogger, warn: () => waiting.resolve() };
  using _ = failingAccepts(Array(20).fill(new Error("Too many open files (os error 24)")));
  const listener = await listenTcp({ hostname: "127.0.0.1", logger });
  const accepting = listener.accept();
  await waiting.promise;
  listener.close();
  assertEquals(await accepting, undefined);
});

Deno.test("Listener takes the next connection at once after one that died in the queue", async () => {
  const { logger, lines } = recordingLogger();
  using _ = failingAccepts([
    new Deno.errors.NotConnected("Transport endpoint is not connected (os error 107)"),
    new Deno.errors.ConnectionReset("Connection reset by peer (os error 104)"),
  ]);
  const listener = await listenTcp({ hostname: "127.0.0.1", logger });
  const [client, server] = await Promise.all([connectTcp(listener.address), listener.accept()]);
  assert(server !== undefined);
  assertEquals(lines.map(({ level }) => level), ["debug", "debug"]);
  client.close();
  server.close();
  listener.close();
});

Deno.test("Connection says why it broke, and where", async () => {
  const listener = await listenTcp({ hostname: "127.0.0.1" });
  const [client, server] = await Promise.all([connectTcp(listener.address), listener.accept()]);
  listener.close();
  server?.close();
  const error = await assertRejects(
    async () => {
      for (;;) await client.write(new Uint8Array(65536));
    },
    ClosedError,
    `Connection to 127.0.0.1:${listener.address.port} broke: `,
  );
  assert(error.cause instanceof Error);
  client.close();
});

Deno.test("Sockets that are not permitted name the flag", async () => {
  const program = `
    import {
      connectTcp, connectWebSocket, listenTcp, openDatagram, serveHttp,
    } from ${JSON.stringify(import.meta.resolve("../../src/transport/mod.ts"))};
    const there = { hostname: "127.0.0.1", port: 9 };
    const attempts = [
      listenTcp(there),
      connectTcp(there),
      openDatagram(there),
      connectWebSocket("ws://127.0.0.1:9"),
      serveHttp(() => new Response(), there),
    ];
    for (const { reason } of await Promise.allSettled(attempts)) {
      console.log(reason.code, reason.details.permission, reason.message);
    }
  `;
  for (const flags of [["--unstable-net"], []]) {
    const lines = (await runProgram(program, flags)).trim().split("\n");
    assertEquals(lines.length, 5);
    for (const line of lines) {
      assert(line.startsWith("unsupported --allow-net Cannot "), line);
      assert(
        line.endsWith("127.0.0.1:9: not permitted, run again with --allow-net=127.0.0.1:9"),
        line,
      );
    }
  }
});

// The runtime's errors of accept cannot be had on demand, so the first accepts of the next listener fail with these.
function failingAccepts(errors: Error[]): Disposable {
  const original = Deno.listen;
  const remaining = [...errors];
  Object.assign(Deno, {
    listen(options: Deno.TcpListenOptions) {
      const listener = original(options);
      const accept = listener.accept.bind(listener);
      listener.accept = () => {
        const error = remaining.shift();
        return error === undefined ? accept() : Promise.reject(error);
      };
      return listener;
    },
  });
  return { [Symbol.dispose]: () => void Object.assign(Deno, { listen: original }) };
}

interface LogLine {
  level: keyof Logger;
  message: string;
  fields: LogFields | undefined;
}

function recordingLogger(): { logger: Logger; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const record = (level: keyof Logger) => (message: string, fields?: LogFields) =>
    void lines.push({ level, message, fields });
  const logger = {
    debug: record("debug"),
    info: record("info"),
    warn: record("warn"),
    error: record("error"),
  };
  return { logger, lines };
}

async function runProgram(program: string, flags: string[]): Promise<string> {
  const url = `data:text/javascript,${encodeURIComponent(program)}`;
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "--no-lock", "--no-prompt", "--no-check", ...flags, url],
    env: { NO_COLOR: "1" },
  }).output();
  if (!success) throw new PeerError("failed", new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}
