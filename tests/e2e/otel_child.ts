/**
 * A peer between two others, in a process of its own whose runtime exports telemetry: `otel_child.ts HOST:PORT` asks that
 * address for what it is asked for itself.
 *
 * @module
 */

import { Peer } from "../../src/peer.ts";
import { exportCounters } from "../../src/telemetry.ts";

await using peer = await Peer.open({ hostname: "127.0.0.1", port: 0, announce: false });
using _exporting = exportCounters(peer.metrics, { peer: "between" });
const over = Promise.withResolvers<void>();
peer.handle("relay", () => peer.request(Deno.args[0] ?? "", "echo", {}, { timeoutMs: 5_000 }));
peer.handle("fail", () => peer.request(Deno.args[0] ?? "", "nowhere"));
peer.handle("end", () => over.resolve());
await Deno.stdout.write(new TextEncoder().encode(JSON.stringify({ port: peer.address?.port })));
await over.promise;
