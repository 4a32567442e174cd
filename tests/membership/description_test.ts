import { assertEquals } from "@std/assert";
import { describeEvent, describeMember } from "../../src/membership/description.ts";
import type { MemberInfo } from "../../src/membership/member.ts";
import { encodeJson } from "../../src/wire/json.ts";

const BOB: MemberInfo = {
  peerId: "b0".repeat(20),
  name: "bob",
  state: "suspect",
  why: "it does not answer us",
  confirmedBy: ["a0".repeat(20)],
  since: 1_700_000_000_000,
  incarnation: 2 ** 50,
  addresses: [{ hostname: "10.0.0.2", port: 3486 }],
  streamAddresses: [{ hostname: "10.0.0.2", port: 3485 }, { hostname: "fe80::2%eth0", port: 3485 }],
  tags: { room: "kitchen" },
  rttMs: 1.23456,
  path: "relay",
};

Deno.test("describeMember says all that others need as plain data, and nothing more", () => {
  assertEquals(describeMember(BOB), {
    peerId: BOB.peerId,
    name: "bob",
    state: "suspect",
    why: "it does not answer us",
    confirmedBy: BOB.confirmedBy,
    since: BOB.since,
    addresses: ["10.0.0.2:3485", "[fe80::2%eth0]:3485"],
    tags: { room: "kitchen" },
    rttMs: 1.235,
    path: "relay",
  });
  const { rttMs, path } = describeMember({ ...BOB, rttMs: undefined, path: undefined });
  assertEquals([rttMs, path], [null, null]);
});

Deno.test("describeEvent names what happened beside the member, or says why where there is none", () => {
  const joined = describeEvent({ type: "joined", member: BOB });
  assertEquals(joined, { event: "joined", ...describeMember(BOB) });
  assertEquals(JSON.parse(encodeJson(joined)), joined);
  const degraded = describeEvent({ type: "degraded", why: "UDP does not get through" });
  assertEquals(degraded, { event: "degraded", why: "UDP does not get through" });
});
