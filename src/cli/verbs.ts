/**
 * The verb table: usage, help, options and permissions of every verb, and where its code is. A verb's code is loaded
 * when it runs. The rows stand in groups, in `verbs/`; a new verb is a row there.
 *
 * @module
 */

import type { Verbs } from "./verb.ts";
import { FILE_VERBS } from "./verbs/file_verbs.ts";
import { FIND_VERBS } from "./verbs/find_verbs.ts";
import { PEER_VERBS } from "./verbs/peer_verbs.ts";
import { SHARE_VERBS } from "./verbs/share_verbs.ts";
import { SYNC_VERBS } from "./verbs/sync_verbs.ts";
import { TALK_VERBS } from "./verbs/talk_verbs.ts";
import { TOOL_VERBS } from "./verbs/tool_verbs.ts";
import { TRUST_VERBS } from "./verbs/trust_verbs.ts";

export type { Invocation, Run, Verb, Verbs } from "./verb.ts";

/** Every verb, in the order that help shows them. */
export const VERBS: Verbs = {
  ...PEER_VERBS,
  ...TALK_VERBS,
  ...SHARE_VERBS,
  ...FIND_VERBS,
  ...FILE_VERBS,
  ...SYNC_VERBS,
  ...TRUST_VERBS,
  ...TOOL_VERBS,
};
