/**
 * What a peer keeps between runs: the home folder.
 *
 * @module
 */

export {
  Home,
  type HomeOptions,
  resolveHome,
  type ResolveHomeOptions,
  type WriteOptions,
} from "./home.ts";
export type { LogFields, Logger } from "../log.ts";
