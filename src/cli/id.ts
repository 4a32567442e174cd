/**
 * `kith id`
 *
 * @module
 */

import { openIdentity } from "./open_peer.ts";
import type { Invocation } from "./verbs.ts";

/** Shows the identity, made on first use. */
export function run(invocation: Invocation): Promise<void> {
  const { identity, home: { dir: home } = { dir: "" } } = openIdentity(invocation);
  const { peerId, fingerprint } = identity;
  const text = `peer id      ${peerId}\nfingerprint  ${fingerprint}\nkept in      ${
    home || "(nowhere)"
  }`;
  invocation.output.result({ peerId, fingerprint, home }, text);
  return Promise.resolve();
}
