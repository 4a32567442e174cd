/**
 * `kith dht trace`
 *
 * @module
 */

import type { Contact } from "../dht/contact.ts";
import type {
  LookupAnswered,
  LookupAsked,
  LookupDone,
  LookupEvent,
  LookupFailed,
} from "../dht/lookup_events.ts";
import { commonBits, type NodeId, toKey } from "../dht/node_id.ts";
import { printable } from "../log.ts";
import { formatAddress } from "../transport/transport.ts";
import { openClient, patience } from "./dht_client.ts";
import { keyOf, labelOf, parseTarget } from "./dht_target.ts";
import { type Output, roundMs } from "./output.ts";
import type { Invocation } from "./verbs.ts";

/** Levels that are shown as such: whoever names whom may go on for long. */
const MAX_INDENTS = 16;

/** What a lookup is for. */
interface Quest {
  readonly key: NodeId;
  /** The same for people. */
  readonly label: string;
}

/** Shows whom a lookup asks, who named them, and what they answer. */
export async function runTrace(invocation: Invocation): Promise<void> {
  const { options, output } = invocation;
  const target = parseTarget(options);
  await using used = await openClient(invocation);
  const { peer } = used;
  using limit = patience(invocation);
  const key = keyOf(target, peer.peerId);
  const events = peer.dht.trace(toKey(key), limit);
  await showTrace(events, { key, label: labelOf(target) }, output);
}

/** Shows a lookup: as it goes on in JSON, in the end as a tree, also where that comes too soon. */
export async function showTrace(
  events: AsyncIterable<LookupEvent>,
  quest: Quest,
  output: Output,
): Promise<void> {
  const tree = new Tree();
  let done: LookupDone | undefined;
  try {
    for await (const event of events) {
      if (output.json) output.result(factsOf(event, quest.key), "");
      if (event.type === "done") done = event;
      else tree.take(event);
    }
  } finally {
    const lines = [...tree.lines(), ...(done === undefined ? [] : [summaryOf(done, quest)])];
    if (!output.json && lines.length > 0) output.result({}, lines.join("\n"));
  }
}

/** An event as data. */
function factsOf(event: LookupEvent, key: NodeId): Record<string, unknown> {
  if (event.type === "done") {
    const { closest, answered, hops, asked, failed, ms } = event;
    return {
      event: "done",
      key: toKey(key),
      closest: closest.map((contact) => nodeFacts(contact, key)),
      ...{ asked, answered: answered.size, failed, hops, ms: roundMs(ms) },
    };
  }
  const { type, contact, depth, path } = event;
  const node = { event: type, ...nodeFacts(contact, key), depth, path };
  switch (type) {
    case "asked":
      return { ...node, by: event.by?.key ?? null };
    case "answered": {
      const { rttMs, nearer, answer: { nodes, records } } = event;
      const counts = { nearer, nodes: nodes.length, values: records.length };
      return { ...node, rttMs: roundMs(rttMs), ...counts };
    }
    case "failed":
      return { ...node, code: event.code, why: event.why };
    default:
      return event satisfies never;
  }
}

/** A node, and how many bits its id has in common with the key. */
function nodeFacts({ id, key: text, address }: Contact, key: NodeId): Record<string, unknown> {
  return { id: text, address: formatAddress(address), bits: commonBits(id, key) };
}

/** A node that was asked. */
interface Asked {
  readonly event: LookupAsked;
  outcome: LookupAnswered | LookupFailed | undefined;
  readonly named: Asked[];
}

/** Who was asked, below who named them. */
class Tree {
  readonly #roots: Asked[] = [];
  readonly #all = new Map<string, Asked>();

  take(event: Exclude<LookupEvent, LookupDone>): void {
    if (event.type !== "asked") {
      const asked = this.#all.get(event.contact.key);
      if (asked !== undefined) asked.outcome = event;
      return;
    }
    const asked: Asked = { event, outcome: undefined, named: [] };
    const above = event.by === undefined ? undefined : this.#all.get(event.by.key);
    (above?.named ?? this.#roots).push(asked);
    this.#all.set(event.contact.key, asked);
  }

  /** A line for each, the columns below each other. */
  lines(): string[] {
    const rows = [...rowsOf(this.#roots, 0)];
    const widthOf = (column: 0 | 1 | 2) => Math.max(...rows.map((row) => row[column].length));
    const [who, where, rtt] = [widthOf(0), widthOf(1), widthOf(2)];
    return rows.map(([id, address, round, said]) => {
      return `${id.padEnd(who)}  ${address.padEnd(where)}  ${round.padStart(rtt)}  ${said}`;
    });
  }
}

type Row = readonly [id: string, address: string, rtt: string, said: string];

function* rowsOf(nodes: readonly Asked[], level: number): Generator<Row> {
  for (const { event: { contact }, outcome, named } of nodes) {
    const id = "  ".repeat(Math.min(level, MAX_INDENTS)) + contact.key.slice(0, 8);
    const rtt = outcome?.type === "answered" ? `${outcome.rttMs.toFixed(1)} ms` : "-";
    yield [id, printable(formatAddress(contact.address), 60), rtt, saidBy(outcome)];
    yield* rowsOf(named, level + 1);
  }
}

/** What a node answered. */
function saidBy(outcome: LookupAnswered | LookupFailed | undefined): string {
  if (outcome === undefined) return "not waited for";
  if (outcome.type === "failed") {
    return outcome.code === "timeout" ? "no answer" : printable(outcome.why, 100);
  }
  const { answer: { records: { length } }, nearer } = outcome;
  if (length > 0) return length === 1 ? "value" : `${length} values`;
  return `${nearer} nearer`;
}

function summaryOf(done: LookupDone, { key, label }: Quest): string {
  const { asked, answered, hops, ms } = done;
  const text = toKey(key);
  const what = label === text ? `key ${text}` : `${label}, key ${text}`;
  const way = hops === 1 ? "1 hop" : `${hops} hops`;
  return `${what}: asked ${asked}, ${answered.size} answered, ${way}, ${ms.toFixed(0)} ms`;
}
