/**
 * A folder that is kept alike with others: served to whoever connects, joined with hubs of others, or both at once.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { Access } from "../secure/access.ts";
import { SyncClient } from "./client.ts";
import { folderLabel } from "./client_id.ts";
import type { SyncClientOptions } from "./client_options.ts";
import { Exchange } from "./exchange.ts";
import type { PlannedStep } from "./exchange_plan.ts";
import { type FolderChange, SyncFolder, type SyncFolderOptions } from "./folder.ts";
import type { SyncEvent } from "./folder_events.ts";
import type { WatchFolderOptions } from "./folder_watch.ts";
import { gateOf, type SyncScope } from "./gate.ts";
import { SyncHub } from "./hub.ts";
import type { HubOptions, SyncWeb } from "./hub_options.ts";
import type { SyncIndex } from "./index.ts";
import { SERVER_ID } from "./message_types.ts";
import type { SyncPort } from "./port.ts";

/** What a {@linkcode FolderSync} needs of its surroundings. */
export interface FolderSyncParts {
  /** The folder's index, closed with it. */
  readonly index: SyncIndex & Disposable;
  /** Where we keep our keys, which are never shared. */
  readonly homeDir?: string | undefined;
  /** Where clients of a hub come in. */
  readonly web: SyncWeb | undefined;
  /** The invites and API keys that open the folder to others. */
  readonly access: Pick<Access, "granted">;
  /** What we are called towards hubs. */
  readonly name: string;
  /** Where time comes from. */
  readonly clock: Clock;
  /** Where it logs to. */
  readonly log: Logger;
  /** Counts `sync.*`. */
  readonly metrics: Metrics;
}

/** How to keep a folder alike. */
export interface FolderSyncOptions extends Pick<SyncFolderOptions, "ignore" | "dryRun"> {
  /** Others get what is in the folder, and change nothing in it. @default {false} */
  readonly readOnly?: boolean;
  /** Whether what is done to the folder is noticed and told at once; otherwise only once, when it is opened. @default {true} */
  readonly watch?: boolean | Pick<WatchFolderOptions, "quietMs" | "lookEveryMs">;
}

/** How to serve a folder. */
export interface ServeFolderOptions
  extends Omit<HubOptions, "rooms" | "onPort" | "clock" | "log" | "metrics"> {
  /** Whether those of this machine need a key, too, as where a proxy makes everybody seem to be of it. @default {false} */
  readonly keysForAll?: boolean;
}

/** How to join a hub. */
export interface JoinHubOptions extends Omit<SyncClientOptions, "name" | "folder"> {
  /** What we are called. @default the peer's name */
  readonly name?: string;
  /** Only looks, for {@linkcode JoinedHub.plan}: nothing is changed here or there. @default {false} */
  readonly dryRun?: boolean;
}

/**
 * A hub that the folder is kept alike with.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * for (const name of ["ann", "bob"]) await Deno.mkdir(`${dir}/${name}`);
 * await Deno.writeTextFile(`${dir}/bob/cat.txt`, "meow");
 * const bob = await Peer.open({ hostname: "127.0.0.1", port: 0, web: true, httpPort: 0 });
 * (await bob.folder(`${dir}/bob`)).serve();
 *
 * const ann = await Peer.open({ hostname: "127.0.0.1", clientOnly: true });
 * const copy = await ann.folder(`${dir}/ann`, { dryRun: true });
 * const hub = await copy.join(`ws://127.0.0.1:${bob.httpAddress?.port}`, { dryRun: true });
 * assertEquals(await hub.plan(), [{ action: "receive", path: "cat.txt" }]);
 * for (const peer of [ann, bob]) await peer.close();
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export class JoinedHub implements AsyncDisposable {
  readonly #client: SyncClient;
  readonly #exchange: Exchange;

  /** The exchange has begun. */
  constructor(client: SyncClient, exchange: Exchange) {
    this.#client = client;
    this.#exchange = exchange;
  }

  /** Our id there. */
  get clientId(): string {
    return this.#client.clientId;
  }

  /** What the hub calls the folder. */
  get room(): string {
    return this.#client.port.peer.label;
  }

  /** What we may do there. */
  get scope(): SyncScope {
    return this.#client.scope;
  }

  /** Whether there is a connection. */
  get connected(): boolean {
    return this.#client.connected;
  }

  /** Bytes of contents that have come and gone. */
  get contentBytes(): { readonly received: number; readonly sent: number } {
    return this.#exchange.contentBytes;
  }

  /** Resolves, and never rejects, when it is over. @returns why, if it was not closed here. */
  get closed(): Promise<Error | undefined> {
    return this.#exchange.closed;
  }

  /** Waits until both sides have what the other has. @returns and @throws as {@linkcode Exchange.sync}. */
  sync(): Promise<boolean> {
    return this.#exchange.sync();
  }

  /** What would be done, of a dry run. @throws as {@linkcode Exchange.plan}. */
  plan(): Promise<PlannedStep[]> {
    return this.#exchange.plan();
  }

  /** Says goodbye. Harmless when closed. */
  async close(): Promise<void> {
    await this.#client.close();
    await this.#exchange.closed;
  }

  /** The same as {@linkcode JoinedHub.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * See the module.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * const peer = await Peer.open({ hostname: "127.0.0.1", port: 0, web: true, httpPort: 0 });
 * const sync = await peer.folder(dir, { readOnly: true, watch: false });
 * const hub = sync.serve();
 * assertEquals([hub.status.clients, sync.hubs], [[], []]); // nobody is there yet
 * const events = sync.events();
 * await Deno.writeTextFile(`${dir}/cat.txt`, "meow");
 * await sync.folder.scan(); // as it does by itself where it watches
 * const { value } = await events.next();
 * assertEquals(value, { type: "changed", path: "cat.txt", operation: "create", by: "here" });
 * await peer.close();
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export class FolderSync implements AsyncDisposable {
  /** The folder. */
  readonly folder: SyncFolder;
  /** What it is called towards others. */
  readonly label: string;
  readonly #parts: FolderSyncParts;
  readonly #watching: Promise<void>;
  readonly #hubs = new Set<JoinedHub>();
  readonly #exchanges = new Set<Exchange>();
  #hub: SyncHub | undefined;
  #closed: Promise<void> | undefined;

  private constructor(folder: SyncFolder, parts: FolderSyncParts, options: FolderSyncOptions) {
    const { watch = true } = options;
    this.folder = folder;
    this.label = folderLabel(folder.dir);
    this.#parts = parts;
    this.#watching = watch === false
      ? Promise.resolve()
      : folder.watch(watch === true ? {} : watch);
  }

  /** Opens a folder. @throws as {@linkcode SyncFolder.open}. */
  static async open(
    dir: string,
    parts: FolderSyncParts,
    options: FolderSyncOptions = {},
  ): Promise<FolderSync> {
    const { index, homeDir, clock, log } = parts;
    const { readOnly = false, dryRun = false, ignore } = options;
    try {
      const rules = ignore === undefined ? {} : { ignore };
      const folder = await SyncFolder.open({
        ...{ dir, index, homeDir, readOnly, dryRun, clock, log },
        ...rules,
      });
      return new FolderSync(folder, parts, options);
    } catch (error) {
      index[Symbol.dispose]();
      throw error;
    }
  }

  /** Its hub, once it is served. */
  get hub(): SyncHub | undefined {
    return this.#hub;
  }

  /** The hubs that it is joined with. */
  get hubs(): readonly JoinedHub[] {
    return [...this.#hubs];
  }

  /** What happens from now on; the first to ask also gets what has happened since it was opened. */
  events(options: { signal?: AbortSignal } = {}): AsyncGenerator<SyncEvent, void, void> {
    return this.folder.events(options);
  }

  /** Calls somebody for whatever is done to the folder, in order. */
  onChange(listener: (changes: readonly FolderChange[]) => void): Disposable {
    return this.folder.onChange(listener);
  }

  /**
   * Serves the folder at the web port: to those of this machine, and to whoever shows an invite or API key with scope
   * `folder:LABEL`, or `folder:LABEL:read` to read it. Once for a folder.
   *
   * @throws {TypeError} when there is no web port, and when it or another folder is served there already.
   */
  serve(options: ServeFolderOptions = {}): SyncHub {
    const { keysForAll = false, ...rest } = options;
    const { web, access, clock, log, metrics } = this.#parts;
    if (web === undefined) throw new TypeError("Cannot serve a folder: the peer has no web port");
    const { readOnly } = this.folder;
    this.#hub = SyncHub.open(web, {
      ...{ clock, log, metrics },
      gate: gateOf(access, { trustsLocal: !keysForAll, readOnly }),
      ...rest,
      rooms: [this.label],
      onPort: (port) => void this.#attend(port),
    });
    return this.#hub;
  }

  /** Connects to a hub, and keeps the folder alike with that. @throws as {@linkcode SyncClient.open}. */
  async join(url: string | URL, options: JoinHubOptions = {}): Promise<JoinedHub> {
    const { dryRun = false, ...rest } = options;
    const { name, clock, log, metrics } = this.#parts;
    const client = await SyncClient.open(url, {
      ...{ name: name || "kith", clock, log, metrics },
      ...rest,
      folder: this.folder.dir,
      onConnection: (isThere, why) => this.#tellConnection(isThere, why),
    });
    this.#tellConnection(true);
    const exchange = Exchange.open(this.folder, client.port, { role: "client", dryRun });
    const hub = new JoinedHub(client, exchange);
    this.#hubs.add(hub);
    void hub.closed.then(() => this.#hubs.delete(hub));
    return hub;
  }

  /** Says goodbye to everybody and lets the folder go. Harmless when closed. */
  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  /** The same as {@linkcode FolderSync.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    await Promise.all([this.#hub?.close(), ...this.hubs.map((hub) => hub.close())]);
    await Promise.all([...this.#exchanges].map((exchange) => exchange.closed));
    await this.folder.close();
    await this.#watching;
    this.#parts.index[Symbol.dispose]();
  }

  /** Exchanges with a client of the hub until it has gone. */
  async #attend(port: SyncPort): Promise<void> {
    const peer = port.peer.clientId;
    this.folder.tell({ type: "connected", peer });
    const exchange = Exchange.open(this.folder, port, { role: "hub" });
    this.#exchanges.add(exchange);
    const why = await exchange.closed;
    this.#exchanges.delete(exchange);
    this.folder.tell({ type: "disconnected", peer, ...reasonOf(why) });
  }

  #tellConnection(isThere: boolean, why?: Error): void {
    const peer = SERVER_ID;
    if (isThere) this.folder.tell({ type: "connected", peer });
    else this.folder.tell({ type: "disconnected", peer, ...reasonOf(why) });
  }
}

function reasonOf(why: Error | undefined): { reason?: string } {
  return why === undefined ? {} : { reason: why.message };
}
