import { assert } from "@std/assert";
import type { Address } from "../../src/transport/transport.ts";
import type { SimHost, SimNode, Simulation } from "../../src/testing/mod.ts";

/** A flooding counter: whoever knows a larger number than before tells everybody, and reminds one node each second. */
export class Flooder implements SimNode {
  value = 0;
  readonly #host: SimHost;
  readonly #everybody: readonly Address[];

  constructor(host: SimHost, everybody: Address[]) {
    this.#host = host;
    this.#everybody = everybody;
    if (host.life === 1) everybody.push(host.address);
    host.clock.after(1000 * host.clock.random(), () => this.#remind());
  }

  raise(value: number): void {
    if (value <= this.value) return;
    this.value = value;
    for (const address of this.#everybody) this.#host.send(Uint8Array.of(value), address);
  }

  receive(packet: Uint8Array): void {
    this.raise(packet[0] ?? 0);
  }

  #remind(): void {
    const { clock } = this.#host;
    const whom = this.#everybody[Math.floor(clock.random() * this.#everybody.length)];
    if (whom !== undefined) this.#host.send(Uint8Array.of(this.value), whom);
    clock.after(1000, () => this.#remind());
  }
}

/** `n0`, `n1`, ...: flooders that know each other. */
export function spawnFlooders(simulation: Simulation, count: number): Flooder[] {
  const everybody: Address[] = [];
  return Array.from(
    { length: count },
    (_, index) => simulation.spawn(`n${index}`, (host) => new Flooder(host, everybody)),
  );
}

/** A node that does nothing but note what it got and when, and answers with what it was asked. */
export class Recorder implements SimNode {
  readonly host: SimHost;
  readonly got: { readonly atMs: number; readonly byte: number; readonly from: Address }[] = [];

  constructor(host: SimHost) {
    this.host = host;
  }

  receive(packet: Uint8Array, from: Address): void {
    this.got.push({ atMs: this.host.clock.now(), byte: packet[0] ?? -1, from });
  }

  answer(body: Uint8Array): Uint8Array {
    return body;
  }
}

/** Spawns a {@linkcode Recorder}. */
export function spawnRecorder(simulation: Simulation, name: string): Recorder {
  return simulation.spawn(name, (host) => new Recorder(host));
}

/** Fails unless `actual` is within `tolerance` of `expected`. */
export function assertNear(actual: number, expected: number, tolerance: number): void {
  assert(Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected} +- ${tolerance}`);
}
