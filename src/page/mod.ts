/**
 * Web pages on this machine that show what a peer sees and have it do things, in DataWeaver messages over WebSockets.
 *
 * @module
 */

export type { PageOptions, PageParts, PagePeer, PageSendOptions, PageStyle } from "./options.ts";
export {
  ANSWER_MS as PAGE_ANSWER_MS,
  MAX_PAGE_SOCKETS,
  MAX_WAITING_MESSAGES,
  Page,
  PAGE_PATH,
  type PageAskOptions,
  type PageOffer,
} from "./page.ts";
export type { TransferNews, TransferSource } from "./received.ts";
