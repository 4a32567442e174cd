/**
 * Contents on one connection, both ways.
 *
 * @module
 */

import { ContentFetcher } from "./content_fetcher.ts";
import { decodeContent } from "./content_frames.ts";
import { ContentSender } from "./content_sender.ts";
import type { SyncFolder } from "./folder.ts";
import { liveAt } from "./index.ts";

/** What a link needs. */
export interface ContentLinkOptions {
  /** Where contents come from and go to. */
  readonly folder: SyncFolder;
  /** Sends a message; what it waits for is the back-pressure. */
  readonly send: (bytes: Uint8Array) => Promise<void>;
  /** Whether the other side is one that holds back what it sends: a client. */
  readonly nudges: boolean;
  /** Told of bytes of wanted contents that are here. */
  readonly onBytes: (bytes: number) => void;
}

/** Gets and sends contents. */
export class ContentLink {
  /** Gets them. */
  readonly fetcher: ContentFetcher;
  readonly #sender: ContentSender;

  /** Does nothing yet. */
  constructor({ folder, send, nudges, onBytes }: ContentLinkOptions) {
    const { shelf, clock } = folder;
    const openOlder = (path: string) => {
      return liveAt(folder.index, path) === undefined ? undefined : folder.openFile(path);
    };
    this.fetcher = new ContentFetcher({ shelf, openOlder, send, clock, nudges, onBytes });
    const open = (sha256: string) => folder.openContents(sha256);
    this.#sender = new ContentSender({ open, send, clock, slots: shelf.reading });
  }

  /** Bytes of contents that have come. */
  get received(): number {
    return this.fetcher.receivedBytes;
  }

  /** And that have gone. */
  get sent(): number {
    return this.#sender.sentBytes;
  }

  /** Takes a message. @throws {InvalidPacketError} when it is none. @throws {LimitError} when too much is asked for. */
  take(bytes: Uint8Array): void {
    const frame = decodeContent(bytes);
    switch (frame.type) {
      case "want":
        return this.#sender.want(frame);
      case "signs":
        return this.#sender.addSigns(frame.id, frame.signs);
      case "grant":
        return this.#sender.grant(frame.id, frame.bytes);
      case "drop":
        return this.#sender.drop(frame.id);
      case "nothing":
        return;
      default:
        return this.fetcher.take(frame);
    }
  }

  /** Begins anew with what was on its way: the connection was cut, and is there again. */
  restart(): void {
    this.#sender.reset();
    this.fetcher.restart();
  }

  /** Ends all. */
  close(): void {
    this.#sender.reset();
    this.fetcher.close();
  }
}
