import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { Peer } from "../../src/peer.ts";
import { PROJECT } from "./process.ts";
import { Scratch } from "./scratch.ts";
import { Up } from "./up.ts";

/** Where Linux keeps a browser that can be driven; `KITH_BROWSER` names another. */
const BROWSERS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** What drives it. */
const LIBRARY = `${PROJECT}node_modules/playwright-core/index.mjs`;

const browser = [Deno.env.get("KITH_BROWSER") ?? "", ...BROWSERS].find(isFile);
const whyNot = browser === undefined
  ? "no Chromium is installed (apt-get install chromium)"
  : isFile(LIBRARY)
  ? whyNoNode()
  : "playwright-core is not installed (npm ci)";
// deno-lint-ignore no-console -- who reads the results shall know
if (whyNot !== undefined) console.log(`skipped, the status page in a browser: ${whyNot}`);

/** What a peer may call itself. */
const HOSTILE = "<img src=x onerror=alert(1)>";

Deno.test({
  name:
    "The status page in a browser shows a peer and its link, light and dark, and says when the connection is lost",
  ignore: whyNot !== undefined,
  async fn() {
    await using scratch = await Scratch.make();
    await using bob = await Up.start(["--name", "bob", "--topic", "garden"]);
    const network = { hostname: "127.0.0.1", port: 0, discoveryPort: Number(bob.network.at(-1)) };
    await using ann = await Peer.open({ ...network, name: HOSTILE });
    ann.join();
    using leaving = new Leaving();
    ann.gossip.subscribe("garden", leaving);
    const url = String(bob.kith.events[0]?.status);
    assertEquals(url, `http://127.0.0.1:${bob.http}/`);
    await using eyes = new Eyes([LIBRARY, browser ?? "", url, scratch.dir, HOSTILE]);
    const { seen, looks, requests, complaints } = await eyes.next();
    const [state = ""] = seen?.states ?? [];
    assertEquals(seen, {
      title: "bob · kith",
      heading: "bob",
      names: [HOSTILE],
      states: [state],
      labels: [`${HOSTILE.slice(0, 17)}…`],
      images: 0,
      overflow: 0,
    });
    assertMatch(state, /^alive/);
    assertNotEquals(looks?.light, looks?.dark);
    for (const scheme of ["light", "dark"]) {
      assert(Deno.statSync(scratch.path(`${scheme}.png`)).size > 10_000, scheme);
    }
    const isOurs = (one: string) => one.startsWith(url) || one.startsWith("data:");
    assertEquals([requests?.every(isOurs), complaints], [true, []]);

    // It goes, and another comes in its place.
    await bob.kith.interrupt();
    const { lost, isStale } = await eyes.next();
    assertMatch(lost ?? "", /^Connection lost, trying again in \d+ s$/);
    await using again = await Peer.open({ ...network, web: true, httpPort: bob.http });
    again.statusPage();
    const { back, complaints: later } = await eyes.next();
    assertEquals([isStale, back, later, await eyes.ended()], [true, true, [], 0]);
  },
});

function isFile(path: string): boolean {
  try {
    return path !== "" && Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Why the driver cannot be run; `undefined` when it can. */
function whyNoNode(): string | undefined {
  try {
    const { success } = new Deno.Command("node", { args: ["--version"], stdout: "null" })
      .outputSync();
    return success ? undefined : "Node does not run";
  } catch {
    return "there is no Node to drive the browser with";
  }
}

/** A line of what the browser saw. */
interface Sight {
  readonly seen?: {
    readonly title: string;
    readonly heading: string;
    readonly names: readonly string[];
    readonly states: readonly string[];
    readonly labels: readonly string[];
    readonly images: number;
    readonly overflow: number;
  };
  readonly looks?: Readonly<Record<"light" | "dark", readonly string[]>>;
  readonly requests?: readonly string[];
  readonly complaints?: readonly string[];
  readonly lost?: string;
  readonly isStale?: boolean;
  readonly back?: boolean;
}

/** The browser and its driver; disposing ends both. */
class Eyes implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #reader: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(args: readonly string[]) {
    const script = `${PROJECT}tests/e2e/status_browser.mjs`;
    this.#child = new Deno.Command("node", {
      args: [script, ...args],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#reader = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** The next line. @throws {Error} when there is none, or what was waited for did not come. */
  async next(): Promise<Sight> {
    while (!this.#text.includes("\n")) {
      const { value, done } = await this.#reader.read();
      if (done) throw new Error("The browser's driver has ended");
      this.#text += value;
    }
    const [line = "", ...rest] = this.#text.split("\n");
    this.#text = rest.join("\n");
    const { failed, ...sight } = JSON.parse(line);
    if (failed !== undefined) throw new Error(`The browser saw something else: ${failed}`);
    return sight;
  }

  /** Waits for the end. @returns the status. */
  async ended(): Promise<number> {
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGTERM"); // upon which the driver ends the browser
    } catch {
      // It has ended.
    }
    await this.#reader.cancel();
    await this.#child.status;
  }
}

/** A signal that fires when it is disposed of. */
class Leaving implements Disposable {
  readonly #controller = new AbortController();
  readonly signal = this.#controller.signal;

  [Symbol.dispose](): void {
    this.#controller.abort();
  }
}
