/**
 * Every limit of an endpoint in one table: its name, what holds unless told otherwise, how far it may be moved, and why.
 *
 * Everything else follows from it: the type of {@linkcode EndpointLimits}, what `parseLimits` accepts, what the status
 * shows, and the table in the manual.
 *
 * @module
 */

/** How often each caller may call endpoints, by their names; `default` is for all that are not named. */
export type RequestRates = Readonly<Record<string, number>>;

/** What a limit counts; what is no time and no rate is counted in whole numbers. */
export type LimitUnit = "connections" | "failures" | "ms" | "bytes" | "calls" | "calls/s";

/** A row of the table. */
export interface Limit {
  /** What holds unless told otherwise; no rates: nothing is limited. */
  readonly default: number | RequestRates;
  /** The lowest that it may be. */
  readonly least: number;
  /** The highest that it may be; `Infinity`: it may be left out, `null` in a file. */
  readonly most: number;
  /** What it counts. */
  readonly unit: LimitUnit;
  /** What it is, and why it is what it is: one line. */
  readonly reason: string;
}

const MIB = 1024 * 1024;

/** The limits. */
export const LIMITS = {
  maxLinks: {
    default: 512,
    least: 0,
    most: 65_536,
    unit: "connections",
    reason: "All together: above any group that shares folders, below the usual 1,024 descriptors",
  },
  maxLinksPerAddress: {
    default: 64,
    least: 0,
    most: 65_536,
    unit: "connections",
    reason: "From one other address: enough for a house behind one translator, an eighth of all",
  },
  maxLinksPerSubnet: {
    default: 128,
    least: 0,
    most: 65_536,
    unit: "connections",
    reason:
      "From one other subnet: /24 of IPv4, /64 of IPv6, in which one host may take any address",
  },
  maxPendingHandshakes: {
    default: 256,
    least: 1,
    most: 65_536,
    unit: "connections",
    reason: "Still in their handshake, a descriptor and 16 KiB each; beyond, the oldest goes",
  },
  handshakeMs: {
    default: 6_000,
    least: 1,
    most: 600_000,
    unit: "ms",
    reason: "For a whole handshake: slow networks are done by then, and who is silent goes",
  },
  failuresPerAddress: {
    default: 32,
    least: 1,
    most: 1_000_000,
    unit: "failures",
    reason: "Failed handshakes from one address at once; a 32nd of them is forgiven each second",
  },
  failuresPerSubnet: {
    default: 256,
    least: 1,
    most: 1_000_000,
    unit: "failures",
    reason: "The same from one subnet: one broken host does not lock its neighbours out",
  },
  maxFrameBytes: {
    default: 16 * MIB,
    least: 512, // room for the messages that links need themselves, errors with their details among them
    most: 1024 * MIB,
    unit: "bytes",
    reason: "Largest message: above any sane one, below what hurts a small machine",
  },
  maxHandlers: {
    default: 4096,
    least: 1,
    most: 1_000_000,
    unit: "calls",
    reason: "At work all together; further ones wait in an inbox per peer, which costs less",
  },
  maxActiveRequests: {
    default: 1024,
    least: 1,
    most: 1_000_000,
    unit: "calls",
    reason: "At work on one connection, so that no single one takes every place there is",
  },
  maxActiveBytes: {
    default: 64 * MIB,
    least: 1,
    most: 1024 * 1024 * MIB,
    unit: "bytes",
    reason: "Of calls that wait or are at work on one connection: four of the largest",
  },
  maxStreams: {
    default: 256,
    least: 0,
    most: 1_000_000,
    unit: "calls",
    reason: "Answered in parts on one connection: each lasts as long as its caller likes",
  },
  maxUnreadBytes: {
    default: 64 * MIB,
    least: 64 * 1024,
    most: 1024 * 1024 * MIB,
    unit: "bytes",
    reason:
      "Of answers that one peer does not take; from a quarter on nothing more is read from it",
  },
  heartbeatMs: {
    default: 10_000,
    least: 1,
    most: Infinity,
    unit: "ms",
    reason: "Pace of the heartbeat; a connection that is silent for 2.5 of them is closed",
  },
  maxStoredBytes: {
    default: Infinity,
    least: 0,
    most: Infinity,
    unit: "bytes",
    reason: "Of files that others store here while the program runs; free space is checked anyway",
  },
  requestsPerSecond: {
    default: {},
    least: 0.01,
    most: 1_000_000,
    unit: "calls/s",
    reason:
      "By endpoint name, of one caller each: a proven peer id, else (UDP, dialects) an address",
  },
} as const satisfies Readonly<Record<string, Limit>>;

/** The name of a limit. */
export type LimitName = keyof typeof LIMITS;

/** What a limit can be: rates where those are limited, else a number. */
export type LimitValue<Name extends LimitName> = typeof LIMITS[Name]["default"] extends number
  ? number
  : RequestRates;

/** Limits that are not the default. {@linkcode LIMITS} says what they are. */
export type EndpointLimits = { readonly [Name in LimitName]?: LimitValue<Name> };

/** Every limit as it holds. */
export type Limits = Required<EndpointLimits>;

/** The names, in the order of the table. */
export const LIMIT_NAMES: readonly LimitName[] = Object.keys(LIMITS) as LimitName[];

/** What holds unless told otherwise. */
export const DEFAULT_LIMITS: Limits = Object.fromEntries(
  LIMIT_NAMES.map((name) => [name, LIMITS[name].default]),
) as unknown as Limits;

/** What a limit is, and what of it is in use. */
export interface LimitReport {
  /** Its name. */
  readonly name: LimitName;
  /** What holds; `null`: there is none. */
  readonly value: number | RequestRates | null;
  /** What would hold had nobody said otherwise. */
  readonly default: number | RequestRates | null;
  /** What is in use, where that can be said: of what is counted per address, subnet or connection, by the greediest. */
  readonly used?: number;
  /** How often it refused something, where it did. */
  readonly refused?: number;
}

/** What is known of limits besides their values. */
export interface LimitUse {
  /** What is in use of a limit. */
  used?: (name: LimitName) => number | undefined;
  /** How often it refused something. */
  refused?: (name: LimitName) => number;
}

/**
 * Limits as the status shows them: plain data that JSON can carry, too.
 *
 * @example
 * ```ts
 * import { DEFAULT_LIMITS, describeLimits } from "@kith/kith/endpoint";
 * import { assertEquals } from "@std/assert";
 *
 * const limits = { ...DEFAULT_LIMITS, maxLinks: 64 };
 * const reports = describeLimits(limits, { used: (name) => name === "maxLinks" ? 3 : undefined });
 * assertEquals(reports[0], { name: "maxLinks", value: 64, default: 512, used: 3 });
 * ```
 */
export function describeLimits(limits: Limits, use: LimitUse = {}): LimitReport[] {
  return LIMIT_NAMES.map((name) => {
    const used = use.used?.(name);
    const refused = use.refused?.(name) ?? 0;
    return {
      name,
      value: plain(limits[name]),
      default: plain(LIMITS[name].default),
      ...(used === undefined ? {} : { used }),
      ...(refused === 0 ? {} : { refused }),
    };
  });
}

/**
 * The table in Markdown, for the manual.
 *
 * @example
 * ```ts
 * import { limitsManual } from "@kith/kith/endpoint";
 * import { assertEquals } from "@std/assert";
 *
 * const row = limitsManual().split("\n").find((line) => line.includes("maxHandlers"));
 * assertEquals(row?.split(" | ").slice(0, 2), ["| `maxHandlers`", "4,096 calls"]);
 * ```
 */
export function limitsManual(): string {
  const rows = LIMIT_NAMES.map((name) => {
    const { default: value, unit, reason }: Limit = LIMITS[name];
    return `| \`${name}\` | ${shown(value, unit)} | ${reason} |`;
  });
  return ["| limit | default | what, and why |", "| --- | --- | --- |", ...rows].join("\n");
}

function plain(value: number | RequestRates): number | RequestRates | null {
  return value === Infinity ? null : value;
}

function shown(value: number | RequestRates, unit: LimitUnit): string {
  if (typeof value !== "number" || value === Infinity) return "none";
  return `${value.toLocaleString("en-US")} ${unit}`;
}
