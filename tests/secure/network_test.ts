import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { Network } from "../../src/secure/network.ts";

const [KEY, OTHER, THIRD] = [1, 2, 3].map((n) => new Uint8Array(32).fill(n)) as [
  Uint8Array,
  Uint8Array,
  Uint8Array,
];

/** Made with another program's HKDF. */
const GOLDEN = {
  name: [
    "71bf5f03",
    "a9702001b088d9241710dee182e83250cf6937853e4cec731e8537e11faecdde",
    "b10026b921ce47dfd68fd9950b987e3d65918cbc190b227b1e45ad4cc32dd4c7",
  ],
  both: [
    "cd4b89b7",
    "d56ce71c65f7bea2654f30123d2a756aa2e3030b32f08ef86384ff727a01678c",
    "7c0ef8b34bb98b26e85472161dad19c2e317676c65608c20a2ddeaa28a6c4112",
  ],
};

/** All that is derived from a network's keys. */
function derived({ keys }: Network): string[] {
  return keys.flatMap(({ id, datagram, psk }) => [id, datagram, psk].map((part) => part.toHex()));
}

Deno.test("Network is open without name and key, closed with either, and secret with a key", () => {
  const facts = [new Network(), new Network("home"), new Network("", [KEY])]
    .map(({ isOpen, isSecret, keys }) => [isOpen, isSecret, keys.length]);
  assertEquals(facts, [[true, false, 0], [false, false, 1], [false, true, 1]]);
});

Deno.test("Network derives golden keys from name and key", () => {
  assertEquals(derived(new Network("home")), GOLDEN.name);
  assertEquals(derived(new Network("home", [KEY])), GOLDEN.both);
});

Deno.test("Network has nothing in common with one of another name or key", () => {
  const networks = [
    new Network("home"),
    new Network("Home"),
    new Network("home "),
    new Network("", [KEY]),
    new Network("home", [KEY]),
    new Network("home", [OTHER]),
  ];
  const all = networks.flatMap(derived);
  assertEquals(new Set(all).size, all.length);
});

Deno.test("Network takes a name for the same in every form of Unicode that looks the same", () => {
  const names = ["caf\u00e9", "cafe\u0301"];
  for (const keys of [[], [KEY]]) {
    const [composed, apart] = names.map((name) => new Network(name, keys)) as [Network, Network];
    assertEquals(derived(apart), derived(composed));
    assertEquals(apart.name, "caf\u00e9");
    // The name counts when the keys are changed, too.
    for (const network of [composed, apart]) network.setKeys([OTHER]);
    assertEquals(derived(apart), derived(composed));
  }
  // Compatible is not the same: what looks different stays so.
  assertNotEquals(derived(new Network("\ufb01le")), derived(new Network("file")));
});

Deno.test("Network.setKeys changes the keys of a closed network, which stays closed", () => {
  for (const network of [new Network("home"), new Network("home", [KEY])]) {
    network.setKeys([OTHER, KEY]);
    assertEquals(derived(network), derived(new Network("home", [OTHER, KEY])));
    assert(network.isSecret && !network.isOpen);
  }
});

Deno.test("Network.setKeys refuses keys that cannot be, and keeps those there are", () => {
  const network = new Network("home", [KEY]);
  const before = derived(network);
  for (const keys of [[], [KEY, OTHER, THIRD], [KEY.subarray(0, 15)], [new Uint8Array(0)]]) {
    assertThrows(() => network.setKeys(keys), RangeError);
    assertEquals(derived(network), before);
  }
});

Deno.test("Network.setKeys does not close the open network, whose peers are open already", () => {
  const network = new Network();
  assertThrows(() => network.setKeys([KEY]), TypeError, "open network");
  assertEquals([network.isOpen, network.isSecret, network.keys.length], [true, false, 0]);
});
