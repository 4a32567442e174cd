/**
 * A folder in memory that behaves as a disk does, one that ignores case if asked.
 *
 * @module
 */

import { foldPath } from "../../src/transfer/safe_path.ts";
import type { FoundFile } from "../../src/sync/local_edits.ts";

interface Node {
  name: string;
  /** `undefined` for a file. */
  inside: Map<string, Node> | undefined;
  contents: string;
  /** Counts the changes of the whole disk, and so tells one state of a file from the next. */
  stamp: number;
}

/** Something that a disk refuses to do. */
export class DiskError extends Error {}

/** The folder. */
export class SimDisk {
  readonly #ignoresCase: boolean;
  readonly #root: Node = { name: "", inside: new Map(), contents: "", stamp: 0 };
  #stamps = 0;

  /** An empty one. */
  constructor(options: { ignoresCase?: boolean } = {}) {
    this.#ignoresCase = options.ignoresCase ?? false;
  }

  /** All that is in it, a folder before what is in it. */
  list(): FoundFile[] {
    return [...walk(this.#root, "")].map(([path, { inside, contents, stamp }]) => {
      const kind = inside === undefined ? "file" as const : "directory" as const;
      const [size, mode] = kind === "file" ? [contents.length, 0o644] : [0, 0o755];
      return {
        path,
        kind,
        size,
        mode,
        mtimeMs: kind === "file" ? stamp : 0,
        stat: statOf(kind, stamp),
      };
    });
  }

  /** Paths and contents, to be compared. */
  tree(): string[] {
    const rows = [...walk(this.#root, "")].map(([path, { inside, contents }]) =>
      inside === undefined ? `${path} = ${contents}` : `${path}/`
    );
    return rows.sort();
  }

  /** The contents of a file. */
  read(path: string): string | undefined {
    const node = this.#find(path);
    return node?.inside === undefined ? node?.contents : undefined;
  }

  /** What is there, as it is spelled on the disk. */
  find(
    path: string,
  ):
    | { readonly kind: "file" | "directory"; readonly stat: string; readonly name: string }
    | undefined {
    const node = this.#find(path);
    if (node === undefined) return undefined;
    const kind = node.inside === undefined ? "file" : "directory";
    return { kind, stat: statOf(kind, node.stamp), name: node.name };
  }

  /** Whether two paths lead to the same thing. */
  isSame(a: string, b: string): boolean {
    return this.#find(a) !== undefined && this.#find(a) === this.#find(b);
  }

  /** Contents of the files in a folder, or of a file; of all for an empty path. */
  contentsIn(path: string): string[] {
    const node = path === "" ? this.#root : this.#find(path);
    if (node === undefined) return [];
    const all = [node, ...[...walk(node, "")].map(([, inner]) => inner)];
    return all.filter(({ inside }) => inside === undefined).map(({ contents }) => contents);
  }

  /** Makes a folder, unless it is there. */
  makeFolder(path: string): void {
    const there = this.#find(path);
    if (there !== undefined && there.inside === undefined) throw new DiskError(`a file: ${path}`);
    if (there === undefined) this.#put(path, { inside: new Map(), contents: "" });
  }

  /** Writes a file, in the place of one that is there; that one keeps its spelling. */
  write(path: string, contents: string): void {
    const there = this.#find(path);
    if (there?.inside !== undefined) throw new DiskError(`a folder: ${path}`);
    if (there === undefined) this.#put(path, { inside: undefined, contents });
    else Object.assign(there, { contents, stamp: ++this.#stamps });
  }

  /** Removes a file, or a folder that is empty. */
  remove(path: string): void {
    const [folder, name] = this.#place(path);
    const there = folder?.get(this.#key(name));
    if (there === undefined) throw new DiskError(`not there: ${path}`);
    if ((there.inside?.size ?? 0) > 0) throw new DiskError(`not empty: ${path}`);
    folder?.delete(this.#key(name));
  }

  /** Removes a folder with all that is in it. */
  removeAll(path: string): void {
    this.#find(path)?.inside?.clear();
    this.remove(path);
  }

  /** Renames, to where nothing is but itself. */
  move(from: string, to: string): void {
    const node = this.#find(from);
    if (node === undefined) throw new DiskError(`not there: ${from}`);
    if (this.#find(to) !== undefined && this.#find(to) !== node) {
      throw new DiskError(`there: ${to}`);
    }
    const [source, oldName] = this.#place(from);
    const [target, name] = this.#place(to);
    if (target === undefined) throw new DiskError(`no folder for ${to}`);
    if (`${to}/`.startsWith(`${from}/`) && to !== from) throw new DiskError(`${to} is in ${from}`);
    source?.delete(this.#key(oldName));
    node.name = name;
    target.set(this.#key(name), node);
  }

  #put(path: string, { inside, contents }: Pick<Node, "inside" | "contents">): void {
    const [folder, name] = this.#place(path);
    if (folder === undefined) throw new DiskError(`no folder for ${path}`);
    folder.set(this.#key(name), { name, inside, contents, stamp: ++this.#stamps });
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of path.split("/")) node = node?.inside?.get(this.#key(name));
    return node;
  }

  #place(path: string): [folder: Map<string, Node> | undefined, name: string] {
    const names = path.split("/");
    const name = names.pop() ?? "";
    const folder = names.length === 0 ? this.#root : this.#find(names.join("/"));
    return [folder?.inside, name];
  }

  #key(name: string): string {
    return this.#ignoresCase ? foldPath(name) : name;
  }
}

function* walk(node: Node, path: string): Generator<[path: string, node: Node]> {
  for (const inner of node.inside?.values() ?? []) {
    const at = path === "" ? inner.name : `${path}/${inner.name}`;
    yield [at, inner];
    yield* walk(inner, at);
  }
}

function statOf(kind: "file" | "directory", stamp: number): string {
  return kind === "file" ? `f${stamp}` : "d";
}
