/**
 * A table that fits on a terminal: columns as wide as what they hold, the last ones cut first, rows as many as there is room.
 *
 * Pure: what it draws on, and with what, is `live_screen.ts`.
 *
 * @module
 */

import { printable } from "../log.ts";
import type { Paint } from "./paint.ts";

/** What a table shows. */
export interface LiveTable {
  /** The line above it. */
  readonly title: string;
  /** What the columns are called. */
  readonly head: readonly string[];
  /** What is in it, the most important first. */
  readonly rows: readonly LiveRow[];
}

/** A row. */
export interface LiveRow {
  /** What stands in the columns. */
  readonly cells: readonly string[];
  /** What it means to whoever reads it. */
  readonly paint?: Paint;
}

/** A terminal's size, in characters. */
export interface ScreenSize {
  /** How wide it is. */
  readonly columns: number;
  /** How high it is. */
  readonly rows: number;
}

/** A line of a drawn table: never wider than the screen. */
export interface DrawnLine {
  /** What it says; safe to print. */
  readonly text: string;
  /** What it means. */
  readonly paint?: Paint;
}

/** What lines may mean. */
const PAINTS: readonly Paint[] = ["heading", "good", "bad", "faint"];

/** Between two columns. */
const GAP = "  ";

/** No column but the last is wider: one long name must not push out the rest. */
const MAX_COLUMN = 44;

/** Rows of a terminal that are not drawn on: the cursor stands there. */
const FREE_ROWS = 1;

/** Longest cell that is looked at, in UTF-16 units. */
const MAX_CELL_CHARS = 400;

/**
 * The lines of a table on a screen.
 *
 * @returns at most as many as the screen has rows, but one.
 */
export function drawTable(table: LiveTable, size: ScreenSize): DrawnLine[] {
  const room = Math.max(0, size.rows - FREE_ROWS);
  const columns = Math.max(1, size.columns);
  const [head, ...body] = [table.head, ...table.rows.map(({ cells }) => cells)].map((cells) =>
    cells.map((cell) => printable(cell, MAX_CELL_CHARS))
  );
  const isCut = body.length > room - 2;
  const shown = isCut ? Math.max(0, room - 3) : body.length;
  const widths = widthsOf([head ?? [], ...body.slice(0, shown)]);
  const line = (cells: readonly string[]) => fit(joined(cells, widths), columns);
  const lines: DrawnLine[] = [
    { text: fit(printable(table.title, MAX_CELL_CHARS), columns), paint: "heading" },
    { text: line(head ?? []), paint: "faint" },
    ...body.slice(0, shown).map((cells, at) => {
      const paint = table.rows[at]?.paint;
      return { text: line(cells), ...(paint === undefined ? {} : { paint }) };
    }),
  ];
  if (isCut) lines.push({ text: fit(`and ${body.length - shown} more`, columns), paint: "faint" });
  return lines.slice(0, room);
}

/** A table that another process of kith has made, as JSON; what is not one shows nothing. */
export function readTable(facts: Readonly<Record<string, unknown>>): LiveTable {
  const { title, head, rows } = facts;
  return {
    title: typeof title === "string" ? title : "",
    head: textsOf(head),
    rows: (Array.isArray(rows) ? rows : []).map((row) => {
      const { cells, paint } = Object(row) as Record<string, unknown>;
      const known = readPaint(paint);
      return { cells: textsOf(cells), ...(known === undefined ? {} : { paint: known }) };
    }),
  };
}

/** What a line of another process of kith means; nothing for what is no paint. */
export function readPaint(value: unknown): Paint | undefined {
  return PAINTS.find((known) => known === value);
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

/** How many columns of a terminal a text takes: some characters take two, marks none. */
export function widthOf(text: string): number {
  let width = 0;
  for (const char of text) width += charWidth(char);
  return width;
}

/** The beginning of a text that is not wider than that. */
export function fit(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  let [width, end] = [0, 0];
  for (const char of text) {
    width += charWidth(char);
    if (width > columns - 1) break;
    end += char.length;
  }
  return `${text.slice(0, end)}…`;
}

function widthsOf(rows: readonly (readonly string[])[]): number[] {
  const count = Math.max(...rows.map((cells) => cells.length));
  return Array.from({ length: count }, (_, at) => {
    return Math.min(MAX_COLUMN, Math.max(...rows.map((cells) => widthOf(cells[at] ?? ""))));
  });
}

function joined(cells: readonly string[], widths: readonly number[]): string {
  const last = cells.length - 1;
  return cells.map((cell, at) => {
    if (at === last) return cell;
    const shown = fit(cell, widths[at] ?? 0);
    return shown + " ".repeat((widths[at] ?? 0) - widthOf(shown));
  }).join(GAP);
}

// East Asian wide and fullwidth characters and emoji, as terminals draw them (Unicode UAX #11), in coarse ranges.
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f9ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;

function charWidth(char: string): number {
  if (char < "\u0300") return 1;
  if (/^[\p{Mn}\p{Me}\u200d\ufe00-\ufe0f]$/u.test(char)) return 0;
  return WIDE.test(char) ? 2 : 1;
}
