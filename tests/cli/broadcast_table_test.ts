import { assertEquals } from "@std/assert";
import { BroadcastTable } from "../../src/cli/broadcast_table.ts";
import type { BroadcastEvent } from "../../src/palmtree/broadcast_options.ts";

class Screen {
  text = "";
  writeSync(bytes: Uint8Array): number {
    this.text += new TextDecoder().decode(bytes);
    return bytes.length;
  }
}

const peerId = "00".repeat(20);

function progress(name: string, bytes: number): BroadcastEvent {
  return { type: "progress", name, peerId, bytes, totalBytes: 1_000 };
}

Deno.test("BroadcastTable draws a line for each receiver, over what it drew before", () => {
  const screen = new Screen();
  const table = new BroadcastTable(true, screen);
  table.hear({ type: "accepted", name: "bob\u001b[2J", peerId });
  table.hear({ type: "accepted", name: "carol", peerId });
  screen.text = "";
  table.hear(progress("carol", 500));
  const [first = "", second = "", rest] = screen.text.split("\n");
  assertEquals(first.startsWith("\u001b[2A\rbob\\u{1b}[2J "), true, first);
  assertEquals(second, `\rcarol${" ".repeat(19)} [##########          ]     500 B  \u001b[K`);
  assertEquals(rest, "");
  screen.text = "";
  table.clear();
  table.clear();
  assertEquals(screen.text, "\u001b[2A\r\u001b[J");
});

Deno.test("BroadcastTable shows some of many, and nothing where there is no terminal", () => {
  const screen = new Screen();
  const table = new BroadcastTable(true, screen);
  for (let at = 0; at < 25; at++) table.hear({ type: "accepted", name: `r${at}`, peerId });
  assertEquals(screen.text.endsWith("\rand 5 more\u001b[K\n"), true);
  const silent = new Screen();
  new BroadcastTable(false, silent).hear(progress("bob", 1));
  assertEquals(silent.text, "");
});
