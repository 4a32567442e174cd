import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import type { Contact } from "../../src/gossip/contact.ts";
import type { TopicDirectory } from "../../src/gossip/gossip_options.ts";
import { TopicSeeker, type TopicSeekerParts } from "../../src/gossip/topic_seeker.ts";
import type { Address } from "../../src/transport/transport.ts";
import { isSettled, Journal, settle } from "../endpoint/fixture.ts";

const SEED: Address = { hostname: "10.0.0.1", port: 1 };
const OTHER: Address = { hostname: "10.0.0.2", port: 2 };

const contactAt = ({ hostname, port }: Address): Contact => {
  return { peerId: `${port}`.repeat(40), hosts: [hostname], port };
};

/** A topic of which only what the seeker looks at is there. */
class FakeTopic {
  readonly view = { size: 0, known: 0 };
  readonly told: string[] = [];

  introduce(contacts: readonly Contact[]): void {
    this.view.known += contacts.length;
    this.told.push(...contacts.map(({ peerId }) => peerId.slice(0, 2)));
  }
}

/** Somebody who seeks; what it meets answers when the test says so. */
function seeking(options: Partial<TopicSeekerParts> = {}, topics = [new FakeTopic()]) {
  const clock = new ManualClock();
  const log = new Journal();
  const met: { port: number; signal: AbortSignal; answer: (is?: boolean) => void }[] = [];
  const seeker = new TopicSeeker({
    clock,
    log,
    seeds: [],
    directory: undefined,
    known: () => [],
    self: contactAt({ hostname: "", port: 9 }).peerId,
    topics: () => topics as unknown as ReturnType<TopicSeekerParts["topics"]>, // the parts that it uses
    meet: (address, signal) => {
      const { promise, resolve } = Promise.withResolvers<Contact | undefined>();
      const answer = (is = true) => resolve(is ? contactAt(address) : undefined);
      signal.addEventListener("abort", () => answer(false), { once: true });
      met.push({ port: address.port, signal, answer });
      return promise;
    },
    ...options,
  });
  const up = (topic = topics[0]) => {
    if (topic !== undefined) topic.view.size = 1;
    seeker.found();
  };
  return { clock, log, met, seeker, topics, up };
}

Deno.test("TopicSeeker tells topics of who is known, of seeds, and of whom discovery finds, but not of itself", async () => {
  const known = [contactAt(OTHER), contactAt({ hostname: "", port: 9 })];
  const addresses = [{ hostname: "10.0.0.3", port: 3 }, { hostname: "10.0.0.4", port: 4 }];
  const directory: TopicDirectory = {
    async *find() {
      yield await Promise.resolve({ peerId: "33".repeat(20), addresses });
    },
  };
  const { met, seeker, topics, up } = seeking({ seeds: [SEED], known: () => known, directory });
  const looking = seeker.look();
  await settle();
  assertEquals(topics[0]?.told.toSorted(), ["22", "33"]);
  met[0]?.answer();
  assertEquals(await isSettled(looking), false); // they may still answer
  assertEquals(topics[0]?.told.toSorted(), ["11", "22", "33"]);
  up();
  await looking;
  await seeker.close();
});

Deno.test("TopicSeeker says that nobody is there after two seconds, and asks seeds no longer than that", async () => {
  const { clock, met, seeker, topics } = seeking({ seeds: [SEED] });
  const looking = seeker.look();
  await clock.advance(1_999);
  assertEquals([await isSettled(looking), met[0]?.signal.aborted], [false, false]);
  await clock.advance(1);
  await looking;
  assertEquals([met[0]?.signal.aborted, topics[0]?.told], [true, []]);
  await seeker.close();
});

Deno.test("TopicSeeker says at once that nobody is there where there is nowhere to look", async () => {
  const { met, seeker } = seeking();
  await seeker.look();
  assertEquals(met, []);
  await seeker.close();
});

Deno.test("TopicSeeker asks seeds to the end though somebody was found by then", async () => {
  const { met, seeker, topics, up } = seeking({ seeds: [SEED, OTHER] });
  const looking = seeker.look();
  await settle();
  met[0]?.answer();
  await settle();
  up();
  await looking;
  assertEquals([met[1]?.signal.aborted, topics[0]?.told], [false, ["11"]]);
  met[1]?.answer();
  await settle();
  assertEquals(topics[0]?.told, ["11", "22"]);
  await seeker.close();
});

Deno.test("TopicSeeker looks again after ever longer times while nobody is there, and soon when the last one goes", async () => {
  const { clock, met, seeker, topics, up } = seeking({ seeds: [SEED] });
  let answered = 0;
  const looks = async (ms: number) => {
    const before = met.length;
    for (let at = 0; at < ms; at += 100) {
      await clock.advance(100);
      while (answered < met.length) met[answered++]?.answer(false);
    }
    return met.length - before;
  };
  void seeker.look();
  assert(await looks(10_000) >= 2);
  const later = await looks(60_000);
  assert(later >= 3 && later <= 8, `${later}`);
  up();
  const [topic] = topics;
  assert(topic);
  topic.view.known = 9;
  await looks(20_000); // the look that was planned
  assert(await looks(60_000) <= 6);
  topic.view.size = 0;
  topic.view.known = 0;
  seeker.lost();
  assertEquals(await looks(1_300), 1);
  await seeker.close();
  assertEquals(await looks(120_000), 0);
  seeker.lost();
  await seeker.look();
  assertEquals(await looks(120_000), 0);
});

Deno.test("TopicSeeker looks once more for a topic that came while it was looking", async () => {
  const topics = [new FakeTopic()];
  const { met, seeker, up } = seeking({ seeds: [SEED] }, topics);
  const first = seeker.look();
  await settle();
  const second = new FakeTopic();
  topics.push(second);
  const looking = seeker.look();
  await settle();
  met[0]?.answer();
  await settle();
  up(topics[0]);
  up(second);
  await first;
  await settle();
  assertEquals(met.length, 2);
  met[1]?.answer();
  await looking;
  await seeker.close();
});

Deno.test("TopicSeeker goes on when discovery fails, and says so", async () => {
  const directory: TopicDirectory = {
    // deno-lint-ignore require-yield -- it fails before
    async *find() {
      await Promise.resolve();
      throw new Error("no network");
    },
  };
  const { log, seeker } = seeking({ directory });
  await seeker.look();
  assertEquals(log.lines.map(({ level, message }) => [level, message]), [
    ["warn", "could not look for others in a topic"],
  ]);
  await seeker.close();
});
