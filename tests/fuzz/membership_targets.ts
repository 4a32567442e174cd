/**
 * The decoders of membership.
 *
 * @module
 */

import {
  type Claim,
  peekClaim,
  readClaim,
  SIGNATURE_BYTES,
  writeClaim,
} from "../../src/membership/claims.ts";
import { encodePacket, readPacket } from "../../src/membership/packets.ts";
import { decodeDatagram } from "../../src/wire/datagram.ts";
import { decodeWireData } from "../../src/wire/message.ts";
import { realSigner } from "../membership/fixture.ts";
import type { FuzzTarget } from "./decoders.ts";

/** Claims, and packets with claims in them. */
export const MEMBERSHIP_TARGETS: readonly FuzzTarget[] = [
  {
    name: "member's claim",
    corpus: claims(),
    decode: (input) => {
      peekClaim(input);
      return readClaim(input);
    },
  },
  {
    name: "membership packet",
    corpus: packets(),
    decode: (input) => {
      const { payload } = decodeDatagram(input, { code: true, exact: true });
      return readPacket(decodeWireData(payload)).claims.map(readClaim);
    },
  },
];

function claims(): Uint8Array[] {
  const signer = realSigner(1);
  const said = { subject: signer.peerId, incarnation: 2 ** 50 };
  const ports = { tcpPort: 3_485, udpPort: 3_486 };
  const description = { key: signer.publicKey, name: "bob", hosts: ["10.0.0.1", "fd00::1"] };
  const all: readonly Claim[] = [
    { kind: "alive", ...said, ...description, ...ports, tags: { role: "nas" } },
    { kind: "left", ...said },
    { kind: "suspect", ...said, accuser: "ab".repeat(20) },
  ];
  return all.map((claim) => writeClaim(claim, "ab".repeat(8), signer));
}

function packets(): Uint8Array[] {
  const [from, to, project] = ["cd".repeat(20), "ef".repeat(20), "ab".repeat(8)];
  const proof = new Uint8Array(SIGNATURE_BYTES).fill(7);
  return ([":ping", ":relay", ":news", ":ack", ":nack"] as const).map((kind) => {
    const extra = kind === ":ping" ? { relayed: 2 ** 41 } : kind === ":ack" ? { proof } : {};
    return encodePacket({ kind, nonce: 2 ** 40, project, from, to, claims: claims(), ...extra });
  });
}
