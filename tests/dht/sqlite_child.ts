/**
 * Puts records into a file until it is killed, and says after each commit how many are in it for sure.
 *
 * Arguments: the home folder, the file's name, the number of the first record.
 *
 * @module
 */

import { SqliteStorage } from "../../src/dht/sqlite_storage.ts";
import { Home } from "../../src/state/home.ts";
import { itemOf, unproven } from "./record_fixture.ts";

/** Writes between two commits. */
const WRITES = 20;

const [dir = "", name = "", first = "0"] = Deno.args;
const storage = SqliteStorage.open(Home.open(dir), name, { commitWrites: WRITES });
const encoder = new TextEncoder();
for (let n = Number(first);; n++) {
  const value = new Uint8Array(n % 4_000).fill(n);
  storage.put(itemOf(unproven(n, { scope: "shared", value, seq: n })));
  if ((n + 1) % WRITES === 0) Deno.stdout.writeSync(encoder.encode(`${n + 1}\n`));
}
