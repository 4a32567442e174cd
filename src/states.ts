/**
 * The states that a peer goes through when it is opened, in order, and back through when it is closed.
 *
 * Source: the PeerConnect requests module, `State(name, function, is_blocking)` of `initiate()`.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import { Watchers } from "./watchers.ts";

/** How far a state is. */
export type StateProgress = "running" | "done" | "failed" | "closing" | "closed";

/** A state. */
export interface StateRecord {
  /** What it is for, such as `discovery`. */
  readonly name: string;
  /** Whether the next one waited for it. */
  readonly blocking: boolean;
  /** How far it is. */
  readonly progress: StateProgress;
  /** When it got there, in milliseconds since 1970. */
  readonly since: number;
  /** Why it failed. */
  readonly why?: string;
}

/**
 * What a peer is doing to get ready, and what it has done; see the module.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * await using peer = await Peer.open({ hostname: "127.0.0.1", port: 0, announce: false });
 * const done = peer.states.list().map(({ name }) => name);
 * assertEquals(done, ["listening", "requests", "discovery"]);
 * ```
 */
export class States {
  readonly #clock: Pick<Clock, "wallMs">;
  readonly #records = new Map<string, StateRecord>();
  readonly #watchers = new Watchers<StateRecord>();

  /** None yet. */
  constructor(clock: Pick<Clock, "wallMs">) {
    this.#clock = clock;
  }

  /** Every state so far, in the order in which they began. */
  list(): StateRecord[] {
    return [...this.#records.values()];
  }

  /** The state of that name. */
  get(name: string): StateRecord | undefined {
    return this.#records.get(name);
  }

  /** What changes from now on, until all is closed. Overflow policy: the oldest of 1024 are dropped, the list is complete. */
  watch(options: { signal?: AbortSignal } = {}): AsyncGenerator<StateRecord, void, void> {
    return this.#watchers.watch(options);
  }

  /** Goes through a state. @throws what the work throws, when the state has failed. */
  async run<T>(name: string, work: () => Promise<T>, { blocking = true } = {}): Promise<T> {
    this.#set({ name, blocking, progress: "running" });
    try {
      const result = await work();
      // What does not hold others up may be overtaken by the end.
      if (this.#records.get(name)?.progress === "running") {
        this.#set({ name, blocking, progress: "done" });
      }
      return result;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#set({ name, blocking, progress: "failed", why });
      throw error;
    }
  }

  /** Opens a part as a state of its own, which is gone back through when the stack is disposed of. */
  open<T extends AsyncDisposable>(
    stack: AsyncDisposableStack,
    name: string,
    open: () => Promise<T>,
  ): Promise<T> {
    return this.group(stack, name, async (parts) => parts.use(await open()));
  }

  /** The same for several parts, which are put on a stack of their own. What was opened is closed when a part fails. */
  async group<T>(
    stack: AsyncDisposableStack,
    name: string,
    open: (parts: AsyncDisposableStack) => Promise<T>,
  ): Promise<T> {
    await using parts = new AsyncDisposableStack();
    const opened = await this.run(name, () => open(parts));
    const owned = parts.move();
    stack.defer(() => this.close(name, () => owned.disposeAsync()));
    return opened;
  }

  /** Goes back through a state. */
  async close(name: string, work: () => PromiseLike<void>): Promise<void> {
    const blocking = this.#records.get(name)?.blocking ?? true;
    this.#set({ name, blocking, progress: "closing" });
    await work();
    this.#set({ name, blocking, progress: "closed" });
  }

  /** Ends what is watched: there are no further states. */
  end(): void {
    this.#watchers.close();
  }

  #set(state: Omit<StateRecord, "since">): void {
    const record = { ...state, since: this.#clock.wallMs() };
    this.#records.set(state.name, record);
    this.#watchers.push(record);
  }
}
