import { assert, assertEquals } from "@std/assert";
import { Cables, whyNoNamespaces } from "./netns.ts";
import { type Event, PROJECT } from "./process.ts";
import { Scratch } from "./scratch.ts";

const PEER_ID = "00112233445566778899aabbccddeeff00112233";

/** How long anything may take before the test fails: far more than it does. */
const PATIENCE_MS = 20_000;

const whyNot = await whyNoNamespaces() ?? await whyNoAvahi();
// deno-lint-ignore no-console -- who reads the results shall know
if (whyNot !== undefined) console.log(`skipped, no Avahi in a network namespace: ${whyNot}`);

Deno.test({
  name: "Avahi lists a peer by its label, address, port and text, and sees it go; and is listed",
  ignore: whyNot !== undefined,
  async fn() {
    await using parts = new AsyncDisposableStack();
    const scratch = parts.use(await Scratch.make());
    const cables = parts.use(await Cables.lay());
    const avahi = parts.use(await Avahi.start(scratch.dir, cables.within("ann")));
    const browse = parts.use(avahi.run("avahi-browse", "-rp", "_kith._tcp"));
    const peer = parts.use(
      new Lines([...cables.within("bob"), ...peerCommand("bob", PEER_ID)], PATIENCE_MS),
    );
    const ready = await peer.json(() => true);
    const label = String(ready.label);
    const line = await browse.line((text) => text.startsWith("=") && text.includes(";10.77.1.2;"));
    const [, , , listed, type, domain, host, address, port, text] = line.split(";");
    assertEquals([listed, type, domain, host], [label, "_kith._tcp", "local", `${label}.local`]);
    assertEquals([address, port], ["10.77.1.2", "3485"]);
    assertEquals(new Set(text?.match(/[^" ]+/g)), new Set(["v=1", `id=${PEER_ID}`, "name=bob"]));

    // What Avahi publishes, with dots and spaces, is found here.
    const entry = ["An Other.Peer", "_kith._tcp", "4444", "v=1", "name=zed"];
    parts.use(avahi.run("avahi-publish", "-s", ...entry));
    const isIpv4 = ({ address }: Event) => JSON.stringify(address).includes("10.77.");
    const found = await peer.json((event) => event.event === "found" && isIpv4(event));
    assertEquals(found, {
      event: "found",
      label: "An Other.Peer",
      name: "zed",
      address: { hostname: "10.77.1.1", port: 4444 },
    });

    await peer.end();
    const gone = await browse.line((text) => text.startsWith("-"));
    assert(gone.includes(label), gone);
  },
});

function peerCommand(...args: string[]): string[] {
  const map = Deno.env.get("KITH_IMPORT_MAP");
  const script = `${PROJECT}tests/e2e/mdns_peer.ts`;
  const mapped = map === undefined ? [] : [`--import-map=${map}`];
  return [Deno.execPath(), "run", "-A", ...mapped, script, ...args];
}

async function whyNoAvahi(): Promise<string | undefined> {
  for (const program of ["avahi-daemon", "avahi-browse", "avahi-publish", "dbus-daemon"]) {
    try {
      await new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" })
        .output();
    } catch {
      return `${program} is not installed`;
    }
  }
  return undefined;
}

/** An Avahi and a message bus of its own, on one host. */
class Avahi implements AsyncDisposable {
  readonly #bus: string;
  readonly #parts: AsyncDisposableStack;

  private constructor(bus: string, parts: AsyncDisposableStack) {
    this.#bus = bus;
    this.#parts = parts;
  }

  static async start(folder: string, within: readonly string[]): Promise<Avahi> {
    await using parts = new AsyncDisposableStack();
    const bus = `unix:path=${folder}/bus`;
    await Deno.writeTextFile(`${folder}/bus.conf`, busConfig(bus));
    await Deno.writeTextFile(`${folder}/avahi.conf`, AVAHI_CONFIG);
    const busArgs = [
      "--nofork",
      "--nopidfile",
      "--print-address",
      `--config-file=${folder}/bus.conf`,
    ];
    const daemon = parts.use(new Lines(["dbus-daemon", ...busArgs], PATIENCE_MS));
    await daemon.line(() => true);
    const options = "--no-drop-root --no-chroot --no-rlimits";
    // Its folder for sockets cannot be chosen: another system's Avahi is left alone by hiding it.
    const script = "mkdir -p /run/avahi-daemon && mount -t tmpfs none /run/avahi-daemon && " +
      `exec avahi-daemon ${options} -f ${folder}/avahi.conf 2>&1`;
    const command = [...within, "unshare", "-m", "sh", "-c", script];
    const avahi = parts.use(new Lines(command, PATIENCE_MS, { DBUS_SYSTEM_BUS_ADDRESS: bus }));
    await avahi.line((text) => text.startsWith("Server startup complete"));
    return new Avahi(bus, parts.move());
  }

  /** Runs one of its programs. */
  run(...command: string[]): Lines {
    return new Lines(command, PATIENCE_MS, { DBUS_SYSTEM_BUS_ADDRESS: this.#bus });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

/** A process that is listened to line by line; disposing ends it. */
class Lines implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #deadline: ReturnType<typeof setTimeout>;

  constructor(command: readonly string[], patienceMs: number, env: Record<string, string> = {}) {
    const [program = "", ...args] = command;
    this.#child = new Deno.Command(program, {
      args,
      env: { NO_COLOR: "1", ...env },
      cwd: PROJECT,
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#stdin = this.#child.stdin.getWriter();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream())
      .pipeThrough(splitLines()).getReader();
    this.#deadline = setTimeout(() => this.#child.kill("SIGKILL"), patienceMs);
  }

  /** The next line that is meant. */
  async line(isMeant: (line: string) => boolean): Promise<string> {
    const seen: string[] = [];
    for (;;) {
      const { value, done } = await this.#lines.read();
      if (done) throw new Error(`It ended, having said: ${seen.join("\n")}`);
      if (isMeant(value)) return value;
      seen.push(value);
    }
  }

  /** The same of a line that is JSON. */
  async json(isMeant: (event: Event) => boolean): Promise<Event> {
    return JSON.parse(await this.line((line) => isMeant(JSON.parse(line))));
  }

  /** Closes its input, and waits until it is over. */
  async end(): Promise<void> {
    await this.#stdin.close();
    await this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#deadline);
    await this.#stdin.abort().catch(() => {}); // it is over already
    try {
      this.#child.kill("SIGTERM");
    } catch {
      // it is over already
    }
    await this.#lines.cancel();
    await this.#child.status;
  }
}

function splitLines(): TransformStream<string, string> {
  let rest = "";
  return new TransformStream({
    transform(chunk, controller) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) controller.enqueue(line);
    },
  });
}

const AVAHI_CONFIG = `[server]
host-name=ann
use-ipv4=yes
use-ipv6=yes
[publish]
publish-hinfo=no
publish-workstation=no
`;

function busConfig(address: string): string {
  return `<busconfig><type>system</type><listen>${address}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/></policy></busconfig>`;
}
