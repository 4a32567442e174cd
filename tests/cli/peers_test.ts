import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { readMember } from "../../src/cli/members.ts";
import { Peer } from "../../src/peer.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import { formatAddress } from "../../src/transport/mod.ts";
import { runVerb } from "./verb_fixture.ts";

const BOB = {
  peerId: "0b".repeat(20),
  name: "bob",
  state: "suspect",
  why: "it did not answer",
  confirmedBy: ["0c".repeat(20)],
  since: 1,
  addresses: ["10.0.0.1:3485"],
  tags: { room: "attic" },
  rttMs: 1.5,
  path: "direct",
};

Deno.test("readMember takes what members say, and nothing else along with it", () => {
  assertEquals(readMember(BOB), BOB);
  assertEquals(readMember({ ...BOB, rttMs: null, path: null, more: 1 }), {
    ...BOB,
    rttMs: null,
    path: null,
  });
});

Deno.test("readMember refuses whatever is no member, naming the field", () => {
  const bad: Record<string, readonly unknown[]> = {
    peerId: [undefined, 5, "x\nalive", "0B".repeat(20)],
    name: [undefined, 5],
    state: [undefined, "alive\nx", "excellent"],
    why: [undefined, {}],
    confirmedBy: [undefined, "me", ["me"], [5]],
    since: [undefined, "1", NaN],
    addresses: [undefined, {}, [5]],
    tags: [undefined, "room", { room: 5 }, []],
    rttMs: [undefined, "1", Infinity],
    path: [undefined, "tunnel"],
  };
  for (const [field, values] of Object.entries(bad)) {
    for (const value of values) {
      const error = thrownBy(() => readMember({ ...BOB, [field]: value }));
      assert(error instanceof InvalidPacketError, `${field} ${value}: ${error}`);
      assertEquals(error.message, `Cannot read member: bad ${field}`);
    }
  }
  for (const value of [undefined, null, "bob", [BOB]]) {
    assert(thrownBy(() => readMember(value)) instanceof InvalidPacketError);
  }
});

Deno.test("peers meets a peer that makes up members with an error of the tree, and prints nothing of them", async () => {
  const home = await Deno.makeTempDir();
  await using liar = await Peer.open({ hostname: "127.0.0.1", port: 0, announce: false });
  const rows: Record<string, unknown>[] = [BOB];
  liar.endpoint.handle("members.list", () => rows);
  const { address } = liar;
  assert(address !== undefined);
  const list = () =>
    runVerb("peers", home, formatAddress(address), "--host", "127.0.0.1", "--ephemeral");
  const { code, lines } = await list();
  assertEquals([code, lines.length], [0, 1]);
  assertStringIncludes(
    lines[0] ?? "",
    "10.0.0.1:3485  1.5 ms  it did not answer, confirmed by 0c0c0c0c",
  );
  rows[0] = { ...BOB, state: "alive\nalive   everybody is fine" };
  const lied = await list();
  assertEquals([lied.code, lied.lines, lied.notes], [1, [], ["Cannot read member: bad state"]]);
  await Deno.remove(home, { recursive: true });
});

function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}
