/**
 * How fast a hub of live-sync passes a change on to all clients, against a hub of npm `ws` on Node.
 *
 * One client writes messages of 200 bytes, each in a WebSocket message of its own and a few on their way at a time; all
 * others read. Hub and clients are a process each, and the clients do the same for both, as `children/sync_clients.ts`
 * says. Our hub looks at each message, checks who wrote it, numbers it for each client and keeps it until it is
 * acknowledged; what is said in one turn of its loop leaves together, which is where it is faster. `ws` passes bytes on.
 *
 * @module
 */

import { Child, projectHas } from "../child.ts";
import { type Contest, type Race, Unavailable } from "../question.ts";

/** Messages on their way at a time: what a folder says that several files are written to. */
const WINDOW = 32;

/** Deliveries of a round: about a second of the rival's time. */
const DELIVERIES = 50_000;

/** Unmeasured rounds of each side: by then the compilers have settled. */
const WARM_UP_ROUNDS = 2;

/** Most rounds; they take seconds. */
const MAX_ROUNDS = 7;

/** Every question about broadcasts. */
export const syncBroadcastQuestions: readonly Race[] = [
  broadcast(100, 1.5),
  broadcast(1_000, 1.3),
];

function broadcast(clients: number, atLeast: number): Race {
  const open = async (): Promise<Contest> => {
    await assertInstalled();
    await using opened = new AsyncDisposableStack();
    const ours = await start("sync_hub", "kith", clients, opened);
    const baseline = await start("sync_rival", "ws", clients, opened);
    const sides = { ours: () => rate(ours, clients), baseline: () => rate(baseline, clients) };
    for (let round = 0; round < WARM_UP_ROUNDS; round++) {
      await sides.baseline();
      await sides.ours();
    }
    const all = opened.move();
    return { ...sides, [Symbol.asyncDispose]: () => all.disposeAsync() };
  };
  const name = `sync 200 B to ${clients} clients vs ws`;
  return { type: "race", name, unit: "messages", atLeast, maxRounds: MAX_ROUNDS, open };
}

async function start(
  hub: string,
  kind: string,
  clients: number,
  opened: AsyncDisposableStack,
): Promise<Child> {
  const { port } = await opened.use(new Child(`bench/children/${hub}.ts`)).answer() as {
    port: number;
  };
  const args = [String(port), String(clients), kind];
  const child = opened.use(new Child("bench/children/sync_clients.ts", args));
  await child.answer();
  return child;
}

/** @returns deliveries in a second. */
async function rate(child: Child, clients: number): Promise<number> {
  const count = DELIVERIES / clients;
  const { seconds } = await child.ask(`${count} ${WINDOW}`) as { seconds: number };
  return DELIVERIES / seconds;
}

async function assertInstalled(): Promise<void> {
  if (!await projectHas("bench/rivals/node_modules/ws/package.json")) {
    throw new Unavailable("ws is not installed (npm run bench:rivals)");
  }
  try {
    await new Deno.Command("node", { args: ["--version"], stdout: "null" }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Unavailable("ws needs Node, which is not installed");
  }
}
