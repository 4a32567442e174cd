import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { ClosedError, TransportError } from "../../src/errors.ts";
import { connectUnix, listenUnix, MAX_UNIX_PATH_BYTES } from "../../src/transport/unix.ts";

const ignore = Deno.build.os === "windows";

async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a unix socket carries bytes both ways and ends in order", { ignore }, async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/sock`;
    const listener = listenUnix(path);
    assertEquals(listener.address, { hostname: `unix:${path}`, port: 0 });
    const [client, server] = await Promise.all([connectUnix(path), listener.accept()]);
    const bytes = new Uint8Array(1024 * 1024).map((_, at) => at % 251);
    const writing = client.write(bytes).then(() => client.closeWrite());
    const into = new Uint8Array(65_536);
    let got = 0;
    for (let read = await server?.read(into); read; read = await server?.read(into)) {
      assertEquals(into[read - 1], (got + read - 1) % 251);
      got += read;
    }
    await writing;
    assertEquals(got, bytes.length);
    await server?.write(Uint8Array.of(7));
    assertEquals(await client.read(into), 1);
    client.close();
    await assertRejects(() => client.read(into), ClosedError, `unix:${path} was closed`);
    server?.close();
    const accepting = listener.accept();
    listener.close();
    assertEquals(await accepting, undefined);
    assertThrows(() => Deno.lstatSync(path), Deno.errors.NotFound);
  });
});

Deno.test("what cannot be listened on or connected to is named", { ignore }, async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/sock`;
    const nobody = await assertRejects(() => connectUnix(path), TransportError);
    assertStringIncludes(nobody.message, `Cannot connect to unix:${path}`);
    Deno.writeTextFileSync(path, "");
    assertThrows(() => listenUnix(path), TransportError, `Cannot listen on unix:${path}`);
    await assertRejects(() => connectUnix(path), TransportError);
    const stopped = AbortSignal.abort(new Error("no more"));
    await assertRejects(() => connectUnix(path, { signal: stopped }), Error, "no more");
  });
});

Deno.test(
  "MAX_UNIX_PATH_BYTES is a length that works, and more fails in order",
  { ignore },
  async () => {
    await withFolder((folder) => {
      const named = (bytes: number) => `${folder}/`.padEnd(bytes, "x");
      listenUnix(named(MAX_UNIX_PATH_BYTES)).close();
      assertThrows(() => listenUnix(named(200)), TransportError);
      return Promise.resolve();
    });
  },
);
