import { assertEquals } from "@std/assert";
import { Output } from "../../src/cli/output.ts";
import { reportTransfer } from "../../src/cli/recv.ts";
import type { PeerInfo } from "../../src/endpoint/handshake.ts";
import { unprovenPeer } from "../../src/transfer/dialects/peerconnect_driver_store.ts";

class KeptOutput extends Output {
  readonly lines: string[] = [];

  override result(_facts: Record<string, unknown>, text: string): void {
    this.lines.push(text);
  }

  override note(text: string): void {
    this.lines.push(text);
  }
}

Deno.test("recv says verified only of what somebody proven has sent", () => {
  const bob: PeerInfo = { peerId: "b".repeat(64), name: "bob", capabilities: [], agent: "kith/1" };
  const lines = [bob, unprovenPeer("0123456789".repeat(4))].map((from) => {
    const output = new KeptOutput({ json: false, level: "error" });
    const sha256 = "0".repeat(64);
    reportTransfer({ type: "received", from, path: "a", bytes: 5, sha256 }, output);
    reportTransfer({ type: "done", from, files: 1, bytes: 5, sha256, seconds: 1 }, output);
    return output.lines;
  });
  assertEquals(lines, [
    ["a  5 B  from bob", "received 1 file, 5 B, from bob (5 B/s), verified"],
    [
      "a  5 B  from 01234567 (unproven)",
      "received 1 file, 5 B, from 01234567 (unproven) (5 B/s), not verified",
    ],
  ]);
});
