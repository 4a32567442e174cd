// A peer that is found by multicast DNS, and says whom it finds. Ends when its input does.
import { Mdns } from "../../src/discovery/mdns/mdns.ts";
import { netTransport } from "../../src/transport/mod.ts";

const [name = "", peerId = ""] = Deno.args;
await using mdns = await Mdns.open({
  transport: netTransport,
  announce: { tcpPort: 3485, name, peerId },
});
say({ event: "ready", label: mdns.label, links: mdns.links });
const ended = new AbortController();
const looking = (async () => {
  for await (const peer of mdns.find({ signal: ended.signal })) say({ event: "found", ...peer });
})();
for await (const _ of Deno.stdin.readable);
ended.abort();
await looking;

function say(what: Record<string, unknown>): void {
  Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(what) + "\n"));
}
