/**
 * The decoders of the DHT's dialects.
 *
 * @module
 */

import { kademliaNotation } from "../../src/dht/dialects/kademlia.ts";
import { LIST_KEYS } from "../../src/dht/dialects/list_keys.ts";
import { peerNotation, readPeers } from "../../src/dht/dialects/peer_notation.ts";
import { wrap } from "../../src/dht/dialects/peerconnect_kademlia.ts";
import { decodeRpc, encodeRequest, encodeResponse } from "../../src/dht/dialects/rpcudp.ts";
import { answerOf, type NodeNotation } from "../../src/dht/dialects/rpcudp_questions.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { type RemotePeer, remotePeerToRecord } from "../../src/wire/remote_peer.ts";
import {
  BOB,
  idOf,
  kademliaScene,
  nodeAt,
  peerConnectScene,
  type Scene,
  unwrap,
} from "../dht/dialects/dialect_fixture.ts";
import { bytesOf, loadVectors } from "../testdata/vectors.ts";
import type { FuzzTarget } from "./decoders.ts";

const TARGET = idOf(7);
/** Whose answers are not rationed. */
const HERE = { hostname: "127.0.0.1", port: 1 };

const ID = new Uint8Array(20).fill(0x42);

const alice: RemotePeer = {
  ...{ id: idOf(1), username: "alice", ip: "192.0.2.10", tcpPort: 3485, udpPort: 3486, status: 1 },
};
const record = encode(remotePeerToRecord(alice));

const plain = kademliaScene(idOf(9));
const peers = peerConnectScene(alice);
for (const { node } of [plain, peers]) node.contacts = [nodeAt(idOf(3), "192.0.2.3", 3)];

/** What somebody sends to a node of a dialect, and what a node answers to one of ours. */
export const DHT_DIALECT_TARGETS: readonly FuzzTarget[] = [
  {
    name: "rpcudp",
    corpus: [...calls(), ...answers()],
    decode: (input) => decodeRpc(input),
  },
  {
    name: "call of a Kademlia node",
    corpus: calls(),
    decode: (input) => take(plain, () => plain.port.bare(input, HERE)),
  },
  {
    name: "call of a PeerConnect node",
    corpus: peerCalls(),
    decode: (input) => take(peers, () => peers.port.wrapped(wrap(input), HERE)),
  },
  {
    name: "answer of a Kademlia node",
    corpus: answers().map((packet) => packet.slice(21)),
    decode: (input) => readAnswers(input, kademliaNotation(idOf(9))),
  },
  {
    name: "answer of a PeerConnect node",
    corpus: [[remotePeerToRecord(alice)], { value: [record, record] }, []].map((one) =>
      encode(one)
    ),
    decode: (input) => readAnswers(input, peerNotation(() => alice)),
  },
  {
    name: "PeerConnect's list of peers",
    corpus: [encode([record, record]), encode([[record]]), encode([])],
    decode: (input) => readPeers(decode(input), 64),
  },
];

/** Has a node take a packet: it answers, or says why not; it never fails. */
function take({ port, metrics, log, node }: Scene<unknown>, bring: () => boolean): true {
  const isTaken = bring();
  for (const list of [log.lines, node.askers, node.questions]) list.length = 0;
  node.kept.clear();
  const failed = Object.entries(metrics.snapshot()).filter(([name]) => name.endsWith(".failed"));
  if (failed.length > 0) throw new Error("the node failed");
  if (isTaken && port.sent.splice(0).length > 0) return true;
  throw new InvalidPacketError("bad-message", "It is not answered");
}

/** Reads what may be the answer to any question. */
function readAnswers(input: Uint8Array, notation: NodeNotation): unknown {
  const packet = decodeRpc(encodeResponse(ID, input));
  if (packet.type !== "response") return undefined;
  const isList = Array.isArray(decode(packet.result));
  const types = isList ? ["find-node", "find-value"] as const : ["find-value"] as const;
  return types.map((type) => {
    return answerOf({ type, target: TARGET }, packet.result, { by: BOB, notation });
  });
}

function calls(): Uint8Array[] {
  const vectors = [...loadVectors("rpcudp.request"), ...loadVectors("rpcudp.malformed")];
  return vectors.filter(({ hex }) => hex !== undefined).map(bytesOf);
}

function answers(): Uint8Array[] {
  return loadVectors("rpcudp.response").filter(({ hex }) => hex !== undefined).map(bytesOf);
}

function peerCalls(): Uint8Array[] {
  const [key = TARGET] = LIST_KEYS;
  return [
    ...loadVectors("peerconnect.kademlia_rpc").map((vector) => unwrap(bytesOf(vector))),
    encodeRequest(ID, "store_peers_in_list", [record, key, [record]].map((arg) => encode(arg))),
  ];
}
