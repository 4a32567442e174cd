/**
 * Copies of packets on their way. A small array costs ten times as much to make as a view of a large one, so copies are
 * laid next to each other into blocks, which are given back to the runtime when the last of their packets is forgotten.
 *
 * @module
 */

/** Bytes of a block: what one packet that is kept for long keeps with it. */
const BLOCK_BYTES = 4096;

/** Larger packets get an array of their own. */
const MAX_SHARED_BYTES = BLOCK_BYTES / 4;

/** Makes copies of packets; see the module. */
export class PacketCopies {
  #block = new Uint8Array(BLOCK_BYTES);
  #used = 0;

  /** A copy of `packet` that nobody else writes to. */
  copy(packet: Uint8Array): Uint8Array {
    if (packet.length > MAX_SHARED_BYTES) return packet.slice();
    if (this.#used + packet.length > BLOCK_BYTES) {
      this.#block = new Uint8Array(BLOCK_BYTES);
      this.#used = 0;
    }
    const end = this.#used + packet.length;
    const copy = this.#block.subarray(this.#used, end);
    copy.set(packet);
    this.#used = end;
    return copy;
  }
}
