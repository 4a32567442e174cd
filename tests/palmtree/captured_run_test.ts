import { assert, assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { ChunkList } from "../../src/palmtree/chunk_list.ts";
import {
  type ControlMessage,
  encodeControl,
  encodeStreamLink,
  parseControl,
  parseStreamLink,
} from "../../src/palmtree/control.ts";
import { hypercube } from "../../src/palmtree/hypercube.ts";
import type { Participant } from "../../src/palmtree/participant.ts";
import { Relay } from "../../src/palmtree/relay.ts";
import {
  encodeInform,
  encodeInformResponse,
  type PalmTreeSession,
  parseInform,
  parseInformResponse,
} from "../../src/palmtree/session.ts";
import { decodeDatagram } from "../../src/wire/datagram.ts";
import { idToDecimal } from "../../src/wire/remote_peer.ts";
import { bytesOf, loadVectors } from "../testdata/vectors.ts";

/** What the run came to, beside its events. */
interface Outcome {
  readonly hypercube: Record<string, string[]>;
  readonly result: Record<string, { parent: string; children: string[]; bytes: number }>;
}

const FAMILY = "peerconnect.palm.captured_run";
const EVENTS = loadVectors(FAMILY).map((vector) => {
  const [node = "", , what = ""] = vector.name.split(" ");
  return { node, what, name: vector.name, bytes: bytesOf(vector) };
});
const file = new URL("../testdata/vectors.json", import.meta.url);
const OUTCOME: Outcome = JSON.parse(Deno.readTextFileSync(file)).formats[FAMILY];

const NAMES = ["p0", "p1", "p2", "p3", "p4", "p5", "p6"];
const ID_OF = new Map(NAMES.map((name, nth) => {
  const id = createHash("sha1").update(`palm${nth}`).digest();
  return [name, idToDecimal(new Uint8Array(id))];
}));
const idOf = (name: string) => ID_OF.get(name) ?? "";
const nameOf = (peerId: string) => NAMES.find((name) => idOf(name) === peerId);

const payloadOf = (packet: Uint8Array) =>
  decodeDatagram(packet, { code: false, exact: true }).payload;

const isControl = ({ name }: { name: string }) => name.includes(" received rx ");
const isLink = ({ name }: { name: string }) => name.includes("tcp-handshake");

/** Where everybody takes packets and links, as the answers and state updates say. */
function participants(): Map<string, Participant> {
  const found = new Map<string, Participant>();
  for (const { name, bytes } of EVENTS) {
    if (name.endsWith("inform-reply")) {
      const { peerId, passive, active } = parseInformResponse(bytes);
      found.set(nameOf(peerId) ?? "", { peerId, passive, active, isKith: false });
    }
    if (!name.includes("gossip_update_state")) continue;
    const message = parseControl(payloadOf(bytes));
    assert(message?.type === "state-update");
    for (const one of message.neighbors) found.set(nameOf(one.peerId) ?? "", one);
  }
  return found;
}

function sessionOf(node: string): PalmTreeSession {
  const event = EVENTS.find((one) => one.node === node && one.what === "inform");
  const session = parseInform(payloadOf(event?.bytes ?? new Uint8Array()));
  assert(session !== undefined);
  return session;
}

/** One of the run's participants as a relay of ours, and what it does. */
function relayOf(node: string, session: PalmTreeSession) {
  const self = participants().get(node);
  assert(self !== undefined);
  const sent: { message: ControlMessage; to: string | undefined }[] = [];
  const connected: (string | undefined)[] = [];
  const content = new ChunkList(300_000, 4_096);
  const root = { hostname: participants().get("p0")?.passive.hostname ?? "", isKith: false };
  const never = () => {
    throw new Error("An original is told nothing");
  };
  const relay = new Relay({ self, session, content, root }, {
    send: (message, to) => void sent.push({ message, to: nameOf(to.peerId) }),
    connect: ({ peerId }) => void connected.push(nameOf(peerId)),
    close: () => {},
    tell: never,
    give: () => {},
    keep: () => {},
    emit: () => {},
  });
  relay.ready();
  return { relay, sent, connected };
}

/** Bytes that one got from the other in the run. */
function received(node: string, what: string, from: string): string {
  const event = EVENTS.find(({ name }) => name === `${node} received rx ${what} from ${from}`);
  return payloadOf(event?.bytes ?? new Uint8Array(4)).toHex();
}

Deno.test("every packet of a run of the originals is understood, and written the same", () => {
  const counts = { informs: 0, answers: 0, controls: 0, links: 0 };
  for (const event of EVENTS) {
    const { name, node, bytes } = event;
    if (isLink(event)) {
      const link = parseStreamLink(bytes);
      assert(link !== undefined, name);
      assertEquals(encodeStreamLink(link).toHex(), bytes.toHex(), name);
      assertEquals(nameOf(link.from), name.split(" ").at(-1));
      counts.links++;
    } else if (isControl(event)) {
      const message = parseControl(payloadOf(bytes));
      assert(message !== undefined, name);
      assertEquals(encodeControl(message).toHex(), payloadOf(bytes).toHex(), name);
      counts.controls++;
    } else if (event.what === "inform") {
      const session = parseInform(payloadOf(bytes));
      assert(session !== undefined, name);
      assertEquals(encodeInform(session).toHex(), payloadOf(bytes).toHex(), name);
      assertEquals([nameOf(session.originateId), session.fanout], ["p0", 3]);
      counts.informs++;
    } else {
      const response = parseInformResponse(bytes);
      assertEquals(encodeInformResponse(response).toHex(), bytes.toHex(), name);
      assertEquals([nameOf(response.peerId), response.sessionKey], [node, sessionOf(node).key]);
      counts.answers++;
    }
  }
  assertEquals(counts, { informs: 6, answers: 6, controls: 24, links: 9 });
});

Deno.test("a run of the originals has the neighbours of the hypercube", () => {
  const expected = hypercube(7).map((places) => places.map((place) => `p${place}`).toSorted());
  assertEquals(NAMES.map((name) => OUTCOME.hypercube[name]?.toSorted()), expected);
  for (const { node, name, bytes } of EVENTS) {
    if (!name.includes("gossip_update_state")) continue;
    const message = parseControl(payloadOf(bytes));
    assert(message?.type === "state-update");
    const names = message.neighbors.map(({ peerId }) => nameOf(peerId));
    assertEquals(names.toSorted(), OUTCOME.hypercube[node]?.toSorted(), name);
  }
});

Deno.test("a run of the originals makes the tree of whoever links first", () => {
  const parents = new Map<string, string | undefined>();
  for (const event of EVENTS.filter(isLink)) {
    const link = parseStreamLink(event.bytes);
    if (!parents.has(event.node)) parents.set(event.node, nameOf(link?.from ?? ""));
  }
  const expected = Object.entries(OUTCOME.result).map(([name, { parent }]) =>
    [name, parent] as const
  );
  assertEquals(parents, new Map<string, string | undefined>(expected));
});

Deno.test("a relay in the place of the sender of a run asks whom it asked, in the same bytes", () => {
  const session = sessionOf("p1");
  const { relay, sent, connected } = relayOf("p0", session);
  const check = parseControl(Uint8Array.fromHex(received("p1", "gossip_tree_check", "p0")));
  assert(check?.type === "tree-check");
  const all = participants();
  const neighbors = session.adjacentPeers.flatMap((peerId) => all.get(nameOf(peerId) ?? "") ?? []);
  relay.begin(neighbors, check.messageId, 0);
  assertEquals(sent.map(({ to }) => to), ["p1", "p2", "p4"]);
  for (const { message, to } of sent) {
    const expected = received(to ?? "", "gossip_tree_check", "p0");
    assertEquals(encodeControl(message).toHex(), expected);
  }
  for (const event of EVENTS.filter((one) => one.node === "p0" && isControl(one))) {
    const message = parseControl(payloadOf(event.bytes));
    assert(message?.type === "upgrade");
    const address = all.get(nameOf(message.from) ?? "")?.passive;
    assert(address !== undefined);
    assert(relay.receive(message, { address, sealedBy: undefined }, 1));
  }
  assertEquals(connected, ["p1", "p4", "p2"]);
});

Deno.test("a relay in the place of any other does what it did in the run, in the same bytes", () => {
  for (const node of NAMES.slice(1)) {
    const { relay, sent, connected } = relayOf(node, sessionOf(node));
    const all = participants();
    const offers: (readonly [string | undefined, boolean])[] = [];
    for (const event of EVENTS.filter((one) => one.node === node)) {
      if (isLink(event)) {
        const from = parseStreamLink(event.bytes)?.from ?? "";
        offers.push([nameOf(from), relay.linkOffered(from, 2)]);
        continue;
      }
      if (!isControl(event)) continue;
      const message = parseControl(payloadOf(event.bytes));
      assert(message !== undefined);
      const from = message.type === "state-update" ? "p0" : event.name.split(" ").at(-1);
      const address = all.get(from ?? "")?.passive;
      assert(address !== undefined && relay.receive(message, { address, sealedBy: undefined }, 1));
    }
    const { parent } = OUTCOME.result[node] ?? {};
    assertEquals(nameOf(relay.parent ?? ""), parent, node);
    assertEquals(offers, offers.map(([from], at) => [from, at === 0]), "first parent wins");
    for (const { message, to } of sent.filter((one) => one.message.type === "upgrade")) {
      const expected = received(to ?? "", "gossip_upgrade_connection", node);
      assertEquals(encodeControl(message).toHex(), expected);
    }
    const children = OUTCOME.result[node]?.children ?? [];
    for (const child of children) assert(connected.includes(child), `${node} and ${child}`);
  }
});
