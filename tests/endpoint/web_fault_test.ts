import { assert, assertEquals } from "@std/assert";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { WEB_PATH, WebPort } from "../../src/endpoint/web.ts";
import { asConnection, connectWebSocket, netTransport } from "../../src/transport/mod.ts";
import { FrameWriter } from "../../src/wire/frame.ts";
import { encodeWireData, wireData } from "../../src/wire/message.ts";
import { identityOf, infoOf, shakeHands } from "./fixture.ts";

const LOOPBACK = "127.0.0.1";

Deno.test("A link over WebSocket ends once when it is asked to drain and breaks in the same write", async () => {
  // Whatever rejects without being heard fails the test by itself.
  await using endpoint = await Endpoint.open({
    transport: netTransport,
    identity: identityOf("server"),
    self: infoOf("server"),
    clientOnly: true,
  });
  await using web = await WebPort.open(endpoint, { hostname: LOOPBACK, port: 0 });
  const socket = await connectWebSocket(`ws://${LOOPBACK}:${web.address.port}${WEB_PATH}`);
  const stranger = await shakeHands(asConnection(socket));
  assertEquals((await stranger.receive())?.header, ":accept");
  const [link] = endpoint.links;
  assert(link !== undefined);

  const drain = encodeWireData(wireData(":drain"));
  await stranger.raw(framesOf(drain, Uint8Array.of(0xc1, 0xc1)));
  const [draining, fault] = [await stranger.receive(), await stranger.receive()];
  assertEquals([draining?.header, fault?.header], [":drain", ":error"]);
  assertEquals(await stranger.receive(), undefined);
  stranger.close();
  await Promise.all([link.closed, link.drain()]);
  assertEquals(endpoint.links.size, 0);
});

/** Frames in the bytes of one write. */
function framesOf(...payloads: readonly Uint8Array[]): Uint8Array {
  const writer = new FrameWriter();
  for (const payload of payloads) writer.frame(payload);
  return Uint8Array.from(writer.take().flatMap((piece) => [...piece]));
}
