/**
 * A broadcast on a terminal: a line for each receiver, drawn again as things happen.
 *
 * @module
 */

import { printable } from "../log.ts";
import type { BroadcastEvent } from "../palmtree/broadcast_options.ts";
import { formatBytes } from "./output.ts";

/** Lines that are shown; of those who are beyond only the number is. */
const MAX_LINES = 20;

const BAR_CHARS = 20;

interface Row {
  readonly name: string;
  state: string;
  bytes: number;
  totalBytes: number;
}

/** Where lines go. */
export interface TableWriter {
  /** Writes all of it. */
  writeSync(bytes: Uint8Array): number;
}

/** See the module. */
export class BroadcastTable {
  readonly #isShown: boolean;
  readonly #writer: TableWriter;
  readonly #rows = new Map<string, Row>();
  #drawn = 0;

  /** Shows nothing yet. @param isShown Whether there is a terminal. @param writer It. @default {Deno.stderr} */
  constructor(isShown: boolean, writer: TableWriter = Deno.stderr) {
    this.#isShown = isShown;
    this.#writer = writer;
  }

  /** Takes in what happened, and shows it. */
  hear(event: BroadcastEvent): void {
    if (event.type === "corrupt" || event.type === "parent") return;
    const { name } = event;
    const row = this.#rows.get(name) ?? { name, state: "", bytes: 0, totalBytes: 0 };
    this.#rows.set(name, row);
    if (event.type === "progress") {
      row.bytes = event.bytes;
      row.totalBytes = event.totalBytes;
    } else if (event.type !== "accepted") {
      row.state = event.type;
      row.bytes = event.bytes;
    }
    this.#draw();
  }

  /** Takes the table away. */
  clear(): void {
    if (!this.#isShown || this.#drawn === 0) return;
    this.#write(`\u001b[${this.#drawn}A\r\u001b[J`);
    this.#drawn = 0;
  }

  #draw(): void {
    if (!this.#isShown) return;
    const rows = [...this.#rows.values()];
    const lines = rows.slice(0, MAX_LINES).map(lineOf);
    if (rows.length > MAX_LINES) lines.push(`and ${rows.length - MAX_LINES} more`);
    const up = this.#drawn === 0 ? "" : `\u001b[${this.#drawn}A`;
    this.#write(up + lines.map((line) => `\r${printable(line)}\u001b[K\n`).join(""));
    this.#drawn = lines.length;
  }

  #write(text: string): void {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += this.#writer.writeSync(bytes.subarray(at));
  }
}

function lineOf({ name, state, bytes, totalBytes }: Row): string {
  const share = totalBytes === 0 ? 0 : bytes / totalBytes;
  const filled = state === "done" ? BAR_CHARS : Math.round(share * BAR_CHARS);
  const bar = "#".repeat(filled).padEnd(BAR_CHARS);
  return `${name.slice(0, 24).padEnd(24)} [${bar}] ${formatBytes(bytes).padStart(9)}  ${state}`;
}
