/**
 * What those who serve a page's messages work with.
 *
 * @module
 */

import type { DataWeaver } from "../wire/weaver.ts";
import type { PageParts, PageStyle } from "./options.ts";
import type { PageMessage } from "./page_message.ts";
import type { SharedFolder } from "./shared_folder.ts";

/** What those who serve work with. */
export interface PageDesk {
  /** What the peer can do. */
  readonly parts: PageParts;
  /** How peers are named to pages. */
  readonly style: PageStyle;
  /** Where files may be sent from; `undefined`: nowhere. */
  readonly folder: SharedFolder | undefined;
  /** Fires when the page is served no more. */
  readonly signal: AbortSignal;
  /** Tells the pages. */
  tell(message: PageMessage): void;
  /** A new transfer's id. */
  newTransferId(): string;
}

/** A message of a page that asks for something. */
export interface PageRequest {
  /** What came. */
  readonly message: DataWeaver;
  /** Answers it; once or several times. */
  reply(header: string, content: unknown, peerId?: string): void;
}
