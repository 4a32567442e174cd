import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Cables, type Host, whyNoNamespaces } from "./netns.ts";
import { type Event, Kith, type Outcome, run } from "./process.ts";
import { Scratch } from "./scratch.ts";

const noNamespaces = await whyNoNamespaces();
// deno-lint-ignore no-console -- who reads the results shall know
if (noNamespaces !== undefined) console.log(`skipped, no network namespaces: ${noNamespaces}`);

/** Runs a command on a host. */
async function on(cables: Cables, host: Host, ...args: string[]): Promise<void> {
  const [program = "", ...rest] = [...cables.within(host), ...args];
  const { success, stderr } = await new Deno.Command(program, { args: rest }).output();
  assert(success, new TextDecoder().decode(stderr));
}

async function doctor(cables: Cables, host: Host, ...more: string[]): Promise<Outcome> {
  const line = ["doctor", "--json", "--ephemeral", "--timeout", "0.6", ...more];
  return await run(line, { within: cables.within(host) });
}

function failed({ events }: Outcome): unknown[] {
  return events.filter(({ ok }) => ok === false).map(({ check }) => check);
}

function checked({ events }: Outcome, name: string): Event {
  const event = events.find(({ check }) => check === name);
  assert(event !== undefined, name);
  return event;
}

// One test, since hosts and processes take long to start: about three seconds.
Deno.test({
  name: "doctor names the way that fails on a host, and fails where none is left",
  ignore: noNamespaces !== undefined,
  async fn() {
    await using scratch = await Scratch.make();
    await using cables = await Cables.lay();
    await cables.drop("multicast");
    const recv = ["recv", "--dir", scratch.path("inbox"), "--yes", "--json", "--ephemeral"];
    await using bob = Kith.start(recv, { within: cables.within("bob") });
    await Promise.all([
      bob.event("ready"),
      // Ann can send by IPv6 multicast to nobody on Carol's network, nor by directed broadcast.
      on(
        cables,
        "ann",
        ..."ip -6 route del multicast ff00::/8 dev to-carol table local".split(" "),
      ),
      on(
        cables,
        "ann",
        ..."ip route del broadcast 10.77.2.255 dev to-carol table local".split(" "),
      ),
      on(cables, "carol", ..."ip link set to-ann down".split(" ")),
    ]);
    const [ann, carol] = await Promise.all([
      doctor(cables, "ann"),
      doctor(cables, "carol", "--dump", "--peer", "bobs-computer:1"),
    ]);

    assertEquals(ann.code, 1, ann.stderr);
    assertStringIncludes(ann.stderr, "Not as it should be: broadcast to 10.77.2.255 on to-carol");
    assertEquals(failed(ann), [
      "broadcast to 10.77.2.255 on to-carol 10.77.2.1",
      "multicast6 to ff02::1:6 on to-carol fe80::1",
    ]);
    assertStringIncludes(
      `${checked(ann, "multicast6 to ff02::1:6 on to-carol fe80::1").why}`,
      "Network is unreachable",
    );
    assertStringIncludes(
      `${checked(ann, "discovery").why}`,
      "; what does not: multicast6 on to-carol fe80::1",
    );
    // The switch drops multicast, which Ann hears herself all the same: only who answers can tell.
    const others = `${checked(ann, "others").why}`;
    assertStringIncludes(others, "1 peer on other machines answered; nobody by multicast4");
    assert(!others.includes("broadcast on to-bob"), others);

    assertEquals(carol.code, 1, carol.stderr);
    assertStringIncludes(carol.stderr, "Cannot find peers here: no way works");
    const { ok, why } = checked(carol, "discovery");
    assertEquals([ok, `${why}`.includes("neither multicast4 on to-ann 10.77.2.2")], [false, true]);
    assertEquals(checked(carol, "peer <peer 1>:1").ok, false);
    assert("dump" in (carol.events.at(-2) ?? {}), carol.stdout);
    assert(!`${carol.stdout}${carol.stderr}`.includes("bobs-computer"), carol.stdout);
  },
});
