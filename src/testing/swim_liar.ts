/**
 * Attackers of a simulated group: one who knows the wire and has no key of a member, and a member that lies.
 *
 * @module
 */

import type { Timer } from "../clock.ts";
import { type Claim, MAX_INCARNATION, type Signer, writeClaim } from "../membership/claims.ts";
import type { SelfDescription } from "../membership/options.ts";
import { encodePacket } from "../membership/packets.ts";
import { DIGEST_BYTES } from "../membership/roster.ts";
import { encode } from "../wire/msgpack.ts";
import type { SimHost, SimNode } from "./host.ts";
import { SIM_PROJECT, simSigner, SwimNode, type SwimNodeOptions } from "./swim_node.ts";

/** Packets that an attacker sends in a second. */
const LIES_PER_SECOND = 50;

/**
 * Sends claims about everybody to everybody, in packets and over streams. None is signed by a member: some are signed by
 * whoever is no member, in its own name or in that of others.
 */
export class Forger implements SimNode {
  readonly #host: SimHost;
  readonly #victims: readonly SwimNode[];
  readonly #signer: Signer;

  /** Begins at once. */
  constructor(host: SimHost, victims: readonly SwimNode[]) {
    this.#host = host;
    this.#victims = victims;
    this.#signer = simSigner(host.name);
    repeat(host, () => this.#lie());
  }

  /** Takes no notice. */
  receive(): void {}

  #lie(): void {
    const { clock } = this.#host;
    const to = pick(this.#victims, clock.random);
    const [about, accuser] = [pick(this.#victims, clock.random), pick(this.#victims, clock.random)];
    const claims = this.#claims(about, accuser);
    const kind = clock.random() < 0.5 ? ":news" : ":ping";
    const { peerId: from } = accuser;
    const packet = { kind, nonce: 7, project: SIM_PROJECT, from, to: to.peerId, claims } as const;
    this.#host.send(encodePacket(packet), to.address);
    const body = { p: Uint8Array.fromHex(SIM_PROJECT), from: Uint8Array.fromHex(from), c: claims };
    const question = clock.random() < 0.5
      ? { ...body, t: "push" }
      : { ...body, t: "sync", d: new Uint8Array(DIGEST_BYTES) };
    this.#host.ask(encode(question), to.address, { timeoutMs: 1_000 }, () => {});
  }

  /** Some of each kind, with the present incarnation, the next, and the largest there can be. */
  #claims({ peerId: subject, publicKey: key, swim }: SwimNode, by: SwimNode): Uint8Array[] {
    const { hostname, port } = this.#host.address;
    const self = descriptionAt(hostname, port);
    return [swim.incarnation, swim.incarnation + 1, MAX_INCARNATION].flatMap((incarnation) => {
      const claims: Claim[] = [
        { kind: "suspect", subject, incarnation, accuser: by.peerId },
        { kind: "suspect", subject, incarnation, accuser: this.#signer.peerId },
        { kind: "left", subject, incarnation },
        { kind: "alive", subject, incarnation, key, ...self },
        { kind: "alive", subject, incarnation, key: this.#signer.publicKey, ...self },
      ];
      return claims.map((claim) => writeClaim(claim, SIM_PROJECT, this.#signer));
    });
  }
}

/** A member that accuses everybody else all the time, with incarnations that are true and such as cannot be. */
export class Liar extends SwimNode {
  readonly #host: SimHost;
  readonly #signer: Signer;

  /** A member like others, as long as it is not told to lie. */
  constructor(host: SimHost, options: SwimNodeOptions = {}) {
    const signer = simSigner(host.name);
    super(host, { ...options, signer });
    this.#host = host;
    this.#signer = signer;
  }

  /** Lies from now on. */
  begin(victims: readonly SwimNode[]): Timer {
    return repeat(this.#host, () => {
      const { random } = this.#host.clock;
      const [to, about] = [pick(victims, random), pick(victims, random)];
      const { peerId: accuser } = this;
      const subject = about.peerId;
      const claims = [about.swim.incarnation, about.swim.incarnation + 2 ** 30].map(
        (incarnation) => {
          const claim: Claim = { kind: "suspect", subject, incarnation, accuser };
          return writeClaim(claim, SIM_PROJECT, this.#signer);
        },
      );
      const packet = {
        kind: ":news",
        nonce: 0,
        project: SIM_PROJECT,
        from: accuser,
        to: "",
      } as const;
      this.#host.send(encodePacket({ ...packet, claims }), to.address);
    });
  }
}

function repeat({ clock }: SimHost, work: () => void): Timer {
  let timer: Timer;
  const next = () => {
    timer = clock.after(1_000 / LIES_PER_SECOND, () => {
      work();
      next();
    });
  };
  next();
  return { cancel: () => timer.cancel() };
}

function pick(victims: readonly SwimNode[], random: () => number): SwimNode {
  const victim = victims[Math.floor(random() * victims.length)];
  if (victim === undefined) throw new RangeError("There is nobody to lie about");
  return victim;
}

function descriptionAt(hostname: string, port: number): SelfDescription {
  return { name: "", hosts: [hostname], tcpPort: port, udpPort: port, tags: {} };
}
