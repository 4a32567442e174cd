/**
 * Who may open a page's WebSocket, by where the request comes from and what the browser says of the page.
 *
 * Browsers let a page of any site open a WebSocket to any address, this machine's own included, so three things are
 * looked at. The caller's address: others than this machine's are turned away unless they are asked for. `Host`: a name
 * of a stranger's that was made to lead here (DNS rebinding) is none of this machine's. `Origin`: the page must be from
 * the web port itself or from a site that was listed; programs send none, and are as trusted as whoever runs them here.
 *
 * @module
 */

import { isLoopback } from "../endpoint/source.ts";
import { isOurOrigin } from "../endpoint/web.ts";
import { printable } from "../log.ts";
import type { Address } from "../transport/transport.ts";

/** An address or `localhost`, and a port: names can be made to lead anywhere. */
const HOST = /^(\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\]|localhost)(?::\d{1,5})?$/i;

/** What a request says of who asks. */
export interface PageCaller {
  /** Where it comes from. */
  readonly remote: Address;
  /** Its `Host`. */
  readonly host: string | null;
  /** Its `Origin`; programs that are no browsers have none. */
  readonly origin: string | null;
}

/** Whom to let in. */
export interface AdmissionRules {
  /** Sites whose pages may connect. */
  readonly origins: ReadonlySet<string>;
  /** Whether callers of other machines may. */
  readonly allowRemote: boolean;
}

/** What a caller was turned away for; each is counted by itself. */
export type Refusal = "remote" | "host" | "origin";

/** Why a caller may not come in; `undefined` when it may. */
export function refusalOf(caller: PageCaller, rules: AdmissionRules): Refusal | undefined {
  const { remote, host, origin } = caller;
  const { origins, allowRemote } = rules;
  if (!allowRemote && !isLoopback(remote.hostname)) return "remote";
  const [, hostname] = HOST.exec(host ?? "") ?? [];
  if (hostname === undefined) return "host";
  if (!allowRemote && !isLoopback(hostname.replace(/^\[(.*)\]$/, "$1"))) return "host";
  const isAllowed = origin === null || origins.has(origin) || isOurOrigin(origin, host);
  return isAllowed ? undefined : "origin";
}

/** The listed sites as browsers name them. @throws {TypeError} for what is no `http:` or `https:` origin. */
export function parseOrigins(origins: readonly string[]): ReadonlySet<string> {
  return new Set(origins.map((text) => {
    const url = URL.parse(text);
    const isSite = url !== null && /^https?:$/.test(url.protocol);
    if (isSite && (text === url.origin || text === `${url.origin}/`)) return url.origin;
    throw new TypeError(
      `Page origin must be such as http://localhost:3000: current value is "${
        printable(text, 80)
      }"`,
    );
  }));
}
