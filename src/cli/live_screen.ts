/**
 * A table that stays in one place of a terminal and changes there.
 *
 * Each time the lines are written over what stood there, in one piece and to their ends, so that nothing flickers; only what
 * is left over below is cleared. Where the terminal has become narrower, lines that were drawn take more rows than before.
 *
 * @module
 */

import {
  type DrawnLine,
  drawTable,
  type LiveTable,
  type ScreenSize,
  widthOf,
} from "./live_table.ts";
import type { Paint } from "./paint.ts";

/** What is drawn on. */
export interface Canvas {
  /** How large it is now. */
  size(): ScreenSize;
  /** Writes to it. */
  write(text: string): void;
  /** A text in its colour, where there are colours. */
  painted(text: string, paint: Paint | undefined): string;
}

/** Clears what is right of the cursor, and what is below it (ECMA-48, 8.3.41 and 8.3.39). */
const CLEAR_LINE = "\u001b[K";
const CLEAR_BELOW = "\u001b[J";

/** Shows what is between them at once, on terminals that know it; others ignore it. */
const [BEGIN, END] = ["\u001b[?2026h", "\u001b[?2026l"];

/** See the module. */
export class LiveScreen {
  readonly #canvas: Canvas;
  #drawn: readonly DrawnLine[] = [];
  #table: LiveTable | undefined;

  /** Nothing is drawn yet. */
  constructor(canvas: Canvas) {
    this.#canvas = canvas;
  }

  /** Draws a table in place of the last one. */
  draw(table: LiveTable): void {
    const size = this.#canvas.size();
    const lines = drawTable(table, size);
    const text = lines.map(({ text, paint }) => {
      return `${this.#canvas.painted(text, paint)}${CLEAR_LINE}\r\n`;
    });
    const back = this.#back(size);
    this.#table = table;
    this.#drawn = lines;
    this.#canvas.write(`${BEGIN}${back}${text.join("")}${CLEAR_BELOW}${END}`);
  }

  /** Draws the same again: the terminal has another size. Nothing where nothing is drawn. */
  redraw(): void {
    if (this.#table !== undefined) this.draw(this.#table);
  }

  /** Takes the table away, for something else that is to stand there; the next one is drawn below that. */
  clear(): void {
    if (this.#drawn.length === 0) return;
    const back = this.#back(this.#canvas.size());
    this.#drawn = [];
    this.#canvas.write(back + CLEAR_BELOW);
  }

  /** To where the table begins. */
  #back({ columns }: ScreenSize): string {
    const rows = this.#drawn.map(({ text }) => Math.max(1, Math.ceil(widthOf(text) / columns)));
    const up = rows.reduce((sum, count) => sum + count, 0);
    return up === 0 ? "" : `\u001b[${up}A\r`;
  }
}
