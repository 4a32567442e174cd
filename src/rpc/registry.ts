/**
 * Which function answers which name under which protocol tag, and the headers by which they are called.
 *
 * An endpoint `add` that is registered for `v1` and `v2` is called by the headers `v1/add` and `v2/add`. Plain `add`
 * calls what the first of the server's tags that has an `add` has: callers that do not care get what is preferred. A
 * built-in steps back for an endpoint of the same name and tag, and returns when that is taken back.
 *
 * @module
 */

import type { AccessLevel } from "../endpoint/access_levels.ts";
import type { Priority } from "../endpoint/inbox.ts";
import type { EndpointFunction } from "./endpoints.ts";
import type { Schema } from "./schema.ts";

/** Longest name of an endpoint, in UTF-16 units. */
export const MAX_ENDPOINT_NAME_CHARS = 128;

/** An endpoint. */
export interface Entry {
  /** What it is called by, without a tag. */
  readonly name: string;
  /** The tags it is registered for. */
  readonly protocols: readonly string[];
  /** What is called. */
  readonly handler: EndpointFunction;
  /** What its data must be. */
  readonly input: Schema<unknown> | undefined;
  /** A sentence for people. */
  readonly description: string;
  /** What goes first when calls wait. */
  readonly priority: Priority;
  /** Who may call it; `undefined` where the peer's default decides. */
  readonly access: AccessLevel | undefined;
  /** Whether it steps back for others. */
  readonly builtIn: boolean;
  /** How often it was called, how often that failed, and how long it took in all. */
  readonly stats: { calls: number; errors: number; totalMs: number };
}

/** Makes an entry be called by a header. @param protocol The tag in the header, if any. @returns what ends that. */
export type Bind = (header: string, entry: Entry, protocol: string | undefined) => Disposable;

/** The endpoints of one server. */
export class Registry {
  readonly #protocols: readonly string[];
  readonly #bind: Bind;
  readonly #entries: Entry[] = [];
  readonly #bound = new Map<string, DisposableStack>();

  /** No endpoints yet. @param protocols The tags there are, the preferred first. */
  constructor(protocols: readonly string[], bind: Bind) {
    this.#protocols = protocols;
    this.#bind = bind;
  }

  /** The names there are. */
  get names(): string[] {
    return [...new Set(this.#entries.map(({ name }) => name))];
  }

  /** The endpoints that can be called, each with the tags that call it. */
  *list(): Generator<{ entry: Entry; protocols: string[] }> {
    for (const entry of this.#entries) {
      const protocols = this.#protocols.filter((tag) => this.find(entry.name, tag) === entry);
      if (protocols.length > 0) yield { entry, protocols };
    }
  }

  /** What a name calls under a tag, or under the preferred one that has it. */
  find(name: string, protocol: string | undefined): Entry | undefined {
    if (protocol === undefined) {
      const tag = this.#protocols.find((tag) => this.find(name, tag) !== undefined);
      return tag === undefined ? undefined : this.find(name, tag);
    }
    const found = this.#entries.filter((entry) =>
      entry.name === name && entry.protocols.includes(protocol)
    );
    return found.find(({ builtIn }) => !builtIn) ?? found[0];
  }

  /**
   * Adds an endpoint. @returns what takes it back.
   *
   * @throws {TypeError} for a bad name, a tag there is not, or a name that is taken under a tag.
   */
  add(entry: Entry): Disposable {
    this.#check(entry);
    this.#entries.push(entry);
    const remove = () => {
      const index = this.#entries.indexOf(entry);
      if (index < 0) return;
      this.#entries.splice(index, 1);
      this.#rebind(entry.name);
    };
    try {
      this.#rebind(entry.name);
    } catch (error) {
      remove(); // another part of the program has a handler for one of its headers
      throw error;
    }
    return { [Symbol.dispose]: remove };
  }

  /** Ends all. */
  clear(): void {
    this.#entries.length = 0;
    for (const name of [...this.#bound.keys()]) this.#rebind(name);
  }

  #check({ name, protocols, builtIn }: Entry): void {
    checkName(name);
    if (protocols.length === 0) throw cannotRegister(name, "no protocol was given");
    for (const tag of protocols) {
      if (!this.#protocols.includes(tag)) {
        throw cannotRegister(name, `protocol "${tag}" is none of ${this.#protocols.join(", ")}`);
      }
      if (builtIn || (this.find(name, tag)?.builtIn ?? true)) continue;
      throw cannotRegister(name, `protocol "${tag}" has one already`);
    }
  }

  /** Makes the headers of a name call what they should call now. */
  #rebind(name: string): void {
    this.#bound.get(name)?.dispose();
    this.#bound.delete(name);
    if (!this.names.includes(name)) return;
    using stack = new DisposableStack();
    for (const tag of [undefined, ...this.#protocols]) {
      const entry = this.find(name, tag);
      if (entry === undefined) continue;
      stack.use(this.#bind(tag === undefined ? name : `${tag}/${name}`, entry, tag));
    }
    this.#bound.set(name, stack.move());
  }
}

function checkName(name: string): void {
  if (name === "" || name.length > MAX_ENDPOINT_NAME_CHARS) {
    throw cannotRegister(name, `a name has 1 to ${MAX_ENDPOINT_NAME_CHARS} characters`);
  }
  if (name.includes("/")) throw cannotRegister(name, 'a name has no "/"');
  if (name.startsWith(":")) throw cannotRegister(name, 'a name begins without ":"');
}

function cannotRegister(name: string, why: string): TypeError {
  return new TypeError(`Cannot register endpoint "${name}": ${why}`);
}
