/**
 * Taking out of a text what says whose machine it comes from, so that it can be shown to strangers.
 *
 * @module
 */

/** What else than addresses names somebody. */
export interface Names {
  /** The home folder of kith; the user's name is often in it. */
  readonly home?: string | undefined;
  /** The machine's name. */
  readonly host?: string | undefined;
  /** The user's name. */
  readonly user?: string | undefined;
  /** Names of other machines. */
  readonly peers?: readonly string[];
}

/** A hardware address, as it is written or as systemd names an interface after it. */
const MAC =
  /(?<![0-9a-z:-])(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}(?![0-9a-z:-])|(?<=\benx)[0-9a-f]{12}\b/gi;

/** What is long and hexadecimal: keys, fingerprints, peer ids. */
const LONG_HEX = /\b[0-9a-f]{32,}\b/gi;

/** An IPv6 address: its first group, the rest, and the zone that is left as it is. */
const IPV6 = /(?<![\w:.])([0-9a-f]{0,4})(:(?:[0-9a-f]{0,4}:){1,6}[0-9a-f]{0,4})(?![\w:])/gi;

const IPV4 = /(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\w)/g;

/** Addresses that are the same everywhere: private, shared, link-local, loopback, groups and broadcast, and none. */
const COMMON_IPV4 =
  /^(?:0|10|127)\.|^192\.168\.|^169\.254\.|^172\.(?:1[6-9]|2\d|3[01])\.|^100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|^(?:22[4-9]|2[345]\d)\./;

/**
 * Makes a function that takes out of a text: hardware addresses, whatever looks like a key or an id, public addresses
 * and what of an IPv6 address tells machines apart (which often holds the hardware address), and the given names.
 */
export function redactor(names: Names): (text: string) => string {
  const { home, host, user, peers = [] } = names;
  const steps: ((text: string) => string)[] = [];
  const replaceAll = (what: string | undefined, by: string) => {
    if (what) steps.push((text) => text.replaceAll(what, by));
  };
  const replaceWord = (what: string | undefined, by: string) => {
    if (!what) return;
    const word = new RegExp(`(?<![\\p{L}\\p{N}])${RegExp.escape(what)}(?![\\p{L}\\p{N}])`, "giu");
    steps.push((text) => text.replace(word, by));
  };
  replaceAll(home, "<home>");
  peers.forEach((peer, index) =>
    replaceWord(isAddress(peer) ? undefined : peer, `<peer ${index + 1}>`)
  );
  // `ann-laptop` before `ann`, and its first part where it has a domain.
  replaceWord(host, "<host>");
  replaceWord(host?.split(".")[0], "<host>");
  replaceWord(user ?? userOf(home), "<user>");
  steps.push(
    (text) => text.replace(MAC, "<mac>"),
    (text) => text.replace(LONG_HEX, "<hex>"),
    (text) =>
      text.replace(IPV6, (whole, first) => isCommonIpv6(whole) ? whole : `${first}::<hidden>`),
    (text) => text.replace(IPV4, (whole) => COMMON_IPV4.test(whole) ? whole : "<public>"),
  );
  return (text) => steps.reduce((left, step) => step(left), text);
}

/** Does that with every text in plain data, the names of fields left as they are. */
export function redactAll<T>(value: T, redact: (text: string) => string): T {
  return JSON.parse(
    JSON.stringify(value, (_, part) => typeof part === "string" ? redact(part) : part),
  );
}

/** Whose home folder it is in, by the custom of most systems. */
function userOf(home = ""): string | undefined {
  return /[\\/](?:home|Users)[\\/]([^\\/]+)/.exec(home)?.[1];
}

function isAddress(text: string): boolean {
  return text.includes(":") || /^[\d.]+$/.test(text) || text === "localhost";
}

/** No address, this machine, or a group. */
function isCommonIpv6(text: string): boolean {
  return text === "::" || text === "::1" || /^ff/i.test(text);
}
