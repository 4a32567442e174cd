/**
 * Folders that are kept alike, as the status page shows them: who takes part, what has changed, what was a conflict.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { printable } from "../log.ts";
import type { SyncEvent } from "../sync/folder_events.ts";
import type { HubStatus } from "../sync/hub_options.ts";
import type { Figure, StatusSource } from "./source.ts";

/** Changes of a folder that are shown, the last ones. */
const MAX_SHOWN_EVENTS = 12;

/** Clients that are shown, the first ones. */
const MAX_SHOWN_CLIENTS = 64;

/** Longest path that is shown, in UTF-16 units. */
const MAX_PATH_CHARS = 160;

const MAX_NAME_CHARS = 64;

/** What {@linkcode SyncSource} needs. */
export interface SyncSourceOptions {
  /** Where time comes from. */
  readonly clock: Pick<Clock, "wallMs">;
}

/** A folder that is kept alike with others, as far as it is shown: a `FolderSync` is one. */
export interface FollowedFolder {
  /** What others call it. */
  readonly label: string;
  /** Its hub, where others come here for it. */
  readonly hub: { readonly status: HubStatus } | undefined;
  /** The hubs that it goes to. */
  readonly hubs: readonly { readonly connected: boolean }[];
  /** What happens in it. */
  events(options: { signal: AbortSignal }): AsyncIterable<SyncEvent>;
}

/** What the page is told of one folder. */
export interface ShownFolder extends Disposable {
  /** Takes note of what has happened in it. */
  note(event: SyncEvent): void;
}

interface Folder {
  readonly sync: Omit<FollowedFolder, "events">;
  readonly last: Record<string, unknown>[];
  readonly coming: Map<string, Record<string, unknown>>;
  conflicts: number;
  changes: number;
  syncedMs: number | null;
}

/**
 * See the module.
 *
 * @example
 * ```ts
 * import { systemClock } from "@kith/kith";
 * import { SyncSource } from "@kith/kith/status";
 * import { assertEquals } from "@std/assert";
 *
 * const source = new SyncSource({ clock: systemClock }); // for `StatusPage.add`
 * using docs = source.add({ label: "docs", hub: undefined, hubs: [] });
 * docs.note({ type: "conflict", path: "a.txt", keptAs: "a (conflict 9f86d081).txt" });
 * const [, folders, conflicts] = source.figures();
 * assertEquals([folders?.value, conflicts?.value], [1, 1]);
 * ```
 */
export class SyncSource implements StatusSource {
  /** Its part of the page. */
  readonly name = "sync";
  readonly #options: SyncSourceOptions;
  readonly #folders = new Set<Folder>();
  // Of folders that are shown no more as well: a counter never goes down.
  #conflicts = 0;

  /** Shows no folder. */
  constructor(options: SyncSourceOptions) {
    this.#options = options;
  }

  /**
   * Shows a folder from now on, and what happens in it. Of its events the first to ask gets those of before: whoever wants
   * them asks earlier.
   *
   * @returns what ends that.
   */
  follow(sync: FollowedFolder): Disposable {
    const leaving = new AbortController();
    const shown = this.add(sync);
    void readAll(sync.events({ signal: leaving.signal }), shown);
    return {
      [Symbol.dispose]: () => {
        leaving.abort();
        shown[Symbol.dispose]();
      },
    };
  }

  /** Shows a folder from now on. @returns what is told of what happens in it; disposing ends it. */
  add(sync: Omit<FollowedFolder, "events">): ShownFolder {
    const folder: Folder = {
      sync,
      last: [],
      coming: new Map(),
      ...{ conflicts: 0, changes: 0, syncedMs: null },
    };
    this.#folders.add(folder);
    return {
      note: (event) => this.#note(folder, event),
      [Symbol.dispose]: () => void this.#folders.delete(folder),
    };
  }

  /** The folders and the hub. */
  snapshot(): unknown {
    const hub = this.#hub;
    const folders = [...this.#folders].map((folder) => {
      const { sync: { label, hub, hubs }, last, coming, conflicts, changes, syncedMs } = folder;
      const there = hubs.filter(({ connected }) => connected).length;
      return {
        label: printable(label, MAX_NAME_CHARS),
        role: hub === undefined ? "join" : "serve",
        state: hubs.length === 0 ? "" : `${there} of ${hubs.length} hubs connected`,
        ...{ conflicts, changes, syncedMs, last, coming: [...coming.values()] },
      };
    });
    return { hub: hub === undefined ? null : shownHub(hub), folders };
  }

  /** How many clients and folders there are, and how many conflicts there were. */
  figures(): Figure[] {
    const folders = [...this.#folders];
    const clients = this.#hub?.clients ?? [];
    const connected = clients.filter((client) => client.connected).length;
    const values = { connected, away: clients.length - connected };
    return [
      {
        name: "sync_clients",
        help: "Clients of the hub",
        type: "gauge",
        value: { label: "state", values },
      },
      { name: "sync_folders", help: "Folders kept alike", type: "gauge", value: folders.length },
      {
        name: "sync_conflicts_total",
        help: "Conflict copies that were made",
        type: "counter",
        value: this.#conflicts,
      },
    ];
  }

  /** A web port has one at most. */
  get #hub(): HubStatus | undefined {
    return [...this.#folders].find(({ sync }) => sync.hub !== undefined)?.sync.hub?.status;
  }

  #note(folder: Folder, event: SyncEvent): void {
    switch (event.type) {
      case "connected":
        return this.#tell(folder, event.type, "", event.name ?? event.peer);
      case "disconnected":
        folder.coming.delete(event.peer);
        return this.#tell(folder, event.type, "", event.reason ?? event.peer);
      case "progress": {
        const { peer, files, ofFiles, bytes, ofBytes } = event;
        const shown = { peer: printable(peer, MAX_NAME_CHARS), files, ofFiles, bytes, ofBytes };
        const isRoom = folder.coming.has(peer) || folder.coming.size < MAX_SHOWN_CLIENTS;
        return isRoom ? void folder.coming.set(peer, shown) : undefined;
      }
      case "synced":
        folder.coming.delete(event.peer);
        folder.syncedMs = this.#options.clock.wallMs();
        return;
      case "changed":
        folder.changes++;
        return this.#tell(folder, event.type, event.path, `${event.operation}, ${event.by}`);
      case "conflict":
        folder.conflicts++;
        this.#conflicts++;
        return this.#tell(folder, event.type, event.path, `kept as ${event.keptAs}`);
      case "failed":
      case "skipped":
        return this.#tell(folder, event.type, event.path ?? "", event.reason);
    }
  }

  #tell({ last }: Folder, type: string, path: string, what: string): void {
    const atMs = this.#options.clock.wallMs();
    last.unshift({
      ...{ atMs, type },
      path: printable(path, MAX_PATH_CHARS),
      what: printable(what, MAX_PATH_CHARS),
    });
    last.length = Math.min(last.length, MAX_SHOWN_EVENTS);
  }
}

async function readAll(events: AsyncIterable<SyncEvent>, shown: ShownFolder): Promise<void> {
  for await (const event of events) shown.note(event);
}

function shownHub({ clients, rooms, strangers, rates }: HubStatus): unknown {
  const shown = clients.slice(0, MAX_SHOWN_CLIENTS).map((client) => ({
    clientId: printable(client.clientId, MAX_NAME_CHARS),
    name: printable(client.name, MAX_NAME_CHARS),
    room: printable(client.room, MAX_NAME_CHARS),
    scope: client.scope ?? "none",
    connected: client.connected,
    silentMs: Math.round(client.silentMs),
    queuedChars: client.queuedChars,
  }));
  const { received, sent, errors } = rates;
  return {
    clients: shown,
    of: clients.length,
    rooms,
    strangers,
    rates: { received, sent, errors },
  };
}
