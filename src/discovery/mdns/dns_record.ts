/**
 * What DNS messages are made of, as values: names, questions and records.
 *
 * Source: RFC 1035 section 3, RFC 6762 section 18, RFC 2782 (SRV).
 *
 * @module
 */

/** What can be asked for; `ANY` is all that there is under the name. */
export type DnsQuestionType = "A" | "AAAA" | "PTR" | "SRV" | "TXT" | "ANY";

/** The labels of a name, without the empty one at its end. A label may hold any text, dots included. */
export type DnsName = readonly string[];

/** A question of class IN. */
export interface DnsQuestion {
  /** What it is about. */
  readonly name: DnsName;
  /** Which records are wanted. */
  readonly type: DnsQuestionType;
  /** Whether the answer is wanted by unicast ("QU"). */
  readonly unicast: boolean;
}

/** What a record says, by its type. */
export type DnsData =
  | { readonly type: "A" | "AAAA"; readonly address: string }
  | { readonly type: "PTR"; readonly target: DnsName }
  | { readonly type: "TXT"; readonly strings: readonly string[] }
  | {
    readonly type: "SRV";
    readonly priority: number;
    readonly weight: number;
    readonly port: number;
    readonly target: DnsName;
  };

/** A record of class IN. */
export type DnsRecord = DnsData & {
  /** What it is about. */
  readonly name: DnsName;
  /** How long it is to be believed, in seconds; 0 takes it back. */
  readonly ttlS: number;
  /** Whether it voids what was known under its name and type before. */
  readonly flush: boolean;
};

/** A query or a response. */
export interface DnsMessage {
  /** Repeated in the answer to a query by unicast; else 0. */
  readonly id: number;
  /** Whether it answers. */
  readonly response: boolean;
  /** Whether a query's known answers go on in the next message. */
  readonly truncated: boolean;
  /** What is asked. */
  readonly questions: readonly DnsQuestion[];
  /** The answers; of a query, those that the asker knows already. */
  readonly answers: readonly DnsRecord[];
  /** Of a query, what the asker is about to claim. */
  readonly authorities: readonly DnsRecord[];
  /** What who reads the answers will ask for next. */
  readonly additionals: readonly DnsRecord[];
}

/** A name in the form that is the same for all that mean the same: upper and lower case of ASCII are one. */
export function nameKey(name: DnsName): string {
  return JSON.stringify(name).replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** What makes two records the same: name, type and data, whatever their lifetime. */
export function recordKey(record: DnsRecord): string {
  return `${record.type} ${nameKey(record.name)} ${dataKey(record)}`;
}

function dataKey(data: DnsData): string {
  switch (data.type) {
    case "A":
    case "AAAA":
      return data.address;
    case "PTR":
      return nameKey(data.target);
    case "TXT":
      return JSON.stringify(data.strings);
    case "SRV":
      return `${data.priority} ${data.weight} ${data.port} ${nameKey(data.target)}`;
    default:
      return data satisfies never;
  }
}
