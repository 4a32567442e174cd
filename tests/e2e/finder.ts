/**
 * Looks for peers with candidates, and prints the first that is found: `finder.ts '{"addresses":[...],"file":"..."}'`.
 *
 * @module
 */

import type { CandidateSource } from "../../src/discovery/candidates.ts";
import { Discovery } from "../../src/discovery/discovery.ts";
import { PeersFile } from "../../src/discovery/sources/peers_file.ts";
import type { Probe } from "../../src/discovery/prober.ts";
import { StaticAddresses } from "../../src/discovery/sources/static_addresses.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { formatAddress, netTransport as transport } from "../../src/transport/mod.ts";

/** How long to look. */
const LOOK_MS = 3_000;

const { addresses, file } = JSON.parse(Deno.args[0] ?? "{}");
const sources: CandidateSource[] = [];
if (addresses !== undefined) sources.push(new StaticAddresses(addresses));
if (file !== undefined) sources.push(new PeersFile(file));

const self = { name: "", capabilities: [], agent: "" };
await using endpoint = await Endpoint.open({ transport, self, clientOnly: true });
const probe: Probe = async (address, options) => {
  const link = await endpoint.connect(address, options);
  const { peerId, name } = link.peer;
  await link.close();
  return { peerId, name };
};
await using discovery = await Discovery.open({ transport, sources, probe });
for await (const { peerId, name, addresses, via } of discovery.find({ timeoutMs: LOOK_MS })) {
  // deno-lint-ignore no-console -- it is what the program is for
  console.log(JSON.stringify({ peerId, name, addresses: addresses.map(formatAddress), via }));
  break;
}
