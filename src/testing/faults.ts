/**
 * What can go wrong, written down: faults with their times, as JSON that can be copied, kept and played again.
 *
 * @module
 */

import type { LinkOptions } from "./link.ts";
import type { Simulation } from "./simulation.ts";

/** Something that goes wrong, or right again, at a time of the simulation. */
export type Fault =
  & {
    /** When, in simulated milliseconds since the start. */
    readonly atMs: number;
  }
  & (
    | { readonly kind: "kill" | "stop" | "restart"; readonly node: string }
    | { readonly kind: "pause"; readonly node: string; readonly ms: number }
    | { readonly kind: "partition"; readonly groups: readonly (readonly string[])[] }
    | { readonly kind: "heal" }
    | {
      readonly kind: "link";
      readonly link: Partial<LinkOptions>;
      readonly between?: readonly [string, string];
      readonly oneWay?: boolean;
    }
    | { readonly kind: "block"; readonly blocked: boolean; readonly nodes?: readonly string[] }
  );

/** Does what a fault says, now. @throws {TypeError} for a kind that is not known, as in JSON from elsewhere. */
export function applyFault(simulation: Simulation, fault: Fault): void {
  switch (fault.kind) {
    case "kill":
      return simulation.kill(fault.node);
    case "stop":
      return simulation.stop(fault.node);
    case "restart":
      return void simulation.restart(fault.node);
    case "pause":
      return simulation.pause(fault.node, fault.ms);
    case "partition":
      return simulation.partition(fault.groups);
    case "heal":
      return simulation.heal();
    case "link":
      return simulation.setLink(fault.link, fault.between, { oneWay: fault.oneWay ?? false });
    case "block":
      return simulation.blockDatagrams(fault.blocked, fault.nodes);
    default:
      throw new TypeError(`Unknown fault: ${JSON.stringify(fault satisfies never)}`);
  }
}
