/**
 * How fast many small files get from one process to another, each of them verified and with its own name, against rsync's
 * daemon. Neither encrypts.
 *
 * @module
 */

import { copyRace, type Load } from "../copy_race.ts";
import { makeFile } from "../memory_folder.ts";
import type { Race } from "../question.ts";
import { betweenPeers, byRsync } from "../ways.ts";

const FOLDERS = 1000;
const FILES_EACH = 100;
const FILE_BYTES = 1024;

const files = FOLDERS * FILES_EACH;

const load: Load = { amount: { files, bytes: files * FILE_BYTES }, counts: "files", make };

/** Every question about small files. */
export const smallFileQuestions: readonly Race[] = [
  copyRace({
    name: "100,000 x 1 KiB, plain, vs rsync daemon",
    ours: betweenPeers("plain"),
    baseline: byRsync,
    load,
    atLeast: 0.5,
    maxRounds: 5,
  }),
];

function make(path: string): void {
  for (let folder = 0; folder < FOLDERS; folder++) {
    Deno.mkdirSync(`${path}/${folder}`, { recursive: true });
    for (let file = 0; file < FILES_EACH; file++) {
      makeFile(`${path}/${folder}/${file}`, FILE_BYTES);
    }
  }
}
