/**
 * Who is whose neighbour in a palm tree, and whom a relay asks next whether it takes what it sends.
 *
 * Participants stand in a list, the sender first. Those whose places differ in one bit are neighbours: a hypercube, cut
 * off where the list ends. So everybody has at most log2(n) neighbours, is at most log2(n) steps from the sender, and has
 * more than one way to it.
 *
 * Source: the PeerConnect palm tree protocol.
 *
 * @module
 */

/** Most participants of one tree, the sender among them. */
export const MAX_PARTICIPANTS = 4_096;

/**
 * The neighbours of one place in a list: `index` with one bit changed, from the lowest bit up, as far as they exist.
 *
 * @throws {RangeError} when the place is not in a list of 1 to 4,096.
 */
export function neighborsOf(index: number, count: number): number[] {
  if (!Number.isInteger(count) || count < 1 || count > MAX_PARTICIPANTS) {
    throw new RangeError(
      `Participants must be 1..${MAX_PARTICIPANTS}: current value is ${count}`,
    );
  }
  if (!Number.isInteger(index) || index < 0 || index >= count) {
    throw new RangeError(`Place must be 0..${count - 1}: current value is ${index}`);
  }
  const neighbors: number[] = [];
  for (let bit = 1; bit < count; bit <<= 1) {
    if ((index ^ bit) < count) neighbors.push(index ^ bit);
  }
  return neighbors;
}

/** The neighbours of every place. @throws {RangeError} when `count` is not 1 to 4,096. */
export function hypercube(count: number): number[][] {
  return Array.from({ length: count }, (_, index) => neighborsOf(index, count));
}

/** Where a relay stands in its list of neighbours. */
export interface WindowState {
  /** How many children it wants. */
  readonly fanout: number;
  /** The neighbour to begin with: 0, later the last window's `next`. */
  readonly start: number;
  /** Children that are linked already. */
  readonly online: number;
}

/** Whom a relay asks next. */
export interface ForwardWindow {
  /** Those neighbours, in their order. */
  readonly candidates: readonly string[];
  /** Where the next window begins. */
  readonly next: number;
}

/**
 * The next neighbours to send a tree check to: from `start` as many as children are wanted, and one more, because the
 * originals count the end in.
 *
 * @param neighbors All of them, in their order.
 * @param skips Whom not to ask: the sender of the check, and who is linked already.
 */
export function forwardWindow(
  neighbors: readonly string[],
  { fanout, start, online }: WindowState,
  skips: (peerId: string) => boolean,
): ForwardWindow {
  const next = Math.max(0, Math.min(neighbors.length, start + fanout) - online);
  const candidates = neighbors.slice(start, Math.max(start, next + 1));
  return { candidates: candidates.filter((peerId) => !skips(peerId)), next };
}
