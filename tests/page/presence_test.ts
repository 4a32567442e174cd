import { assertEquals } from "@std/assert";
import { Presence } from "../../src/page/presence.ts";
import { peerOf } from "./fixture.ts";

Deno.test("Presence tells who came, changed and went since the look before", () => {
  const presence = new Presence();
  const [one, two] = [peerOf("1"), peerOf("2")];
  assertEquals(presence.look([one, two]), { came: [one, two], went: [] });
  assertEquals(presence.look([two, one]), { came: [], went: [] });
  const [renamed, moved] = [{ ...one, name: "x" }, { ...two, ip: "192.0.2.8" }];
  assertEquals(presence.look([renamed, moved]), { came: [renamed, moved], went: [] });
  assertEquals(presence.look([]), { came: [], went: [renamed, moved] });
  assertEquals(presence.look([one]), { came: [one], went: [] });
});
