/**
 * Long lists in several messages.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { MAX_MESSAGE_ITEMS } from "./protocol.ts";

/** Most bytes of the items of a page: half of the largest message. */
export const PAGE_BYTES: number = 512 * 1024;

/**
 * Cuts a list of entries or instructions into pages that fit a message each. An empty list is one empty page.
 *
 * @param maxBytes Most bytes of a page as JSON; an item that is larger has a page of its own. @default {PAGE_BYTES}
 */
export function* pagesOf<T>(
  items: Iterable<T>,
  maxBytes: number = PAGE_BYTES,
): Generator<{ readonly items: readonly T[]; readonly more: boolean }> {
  let page: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const itemBytes = Buffer.byteLength(JSON.stringify(item)) + 1;
    const isFull = bytes + itemBytes > maxBytes || page.length === MAX_MESSAGE_ITEMS;
    if (isFull && page.length > 0) {
      yield { items: page, more: true };
      page = [];
      bytes = 0;
    }
    page.push(item);
    bytes += itemBytes;
  }
  yield { items: page, more: false };
}
