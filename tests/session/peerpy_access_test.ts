/**
 * Who may open a session in the dialect in which nobody proves who they are: those only whom anybody may.
 */

import { assertEquals, assertRejects } from "@std/assert";
import type { AccessLevel } from "../../src/endpoint/access_levels.ts";
import { HandshakeError, RemoteError } from "../../src/errors.ts";
import { Identity } from "../../src/secure/identity.ts";
import type { SessionOffer } from "../../src/session/session.ts";
import { Sessions } from "../../src/session/sessions.ts";
import { connectSession } from "../../src/session/native.ts";
import { Served, SERVER, settle } from "../endpoint/fixture.ts";
import { Town } from "../town.ts";
import { ACCEPT, DENY, ended, Original, padded } from "./fixture.ts";

const HELLO = padded("HELLO|peer_name=127.0.0.1:51515&data_type=json&strict=False");

/** An endpoint that takes sessions of both wires, and those that it was offered. */
async function open(access: AccessLevel, isExclusive = () => false) {
  const isInvited = (scope: string) => scope === "call:nothing";
  const served = await Served.open({ access, isExclusive, isInvited });
  const offers: SessionOffer[] = [];
  const sessions = Sessions.open(served.endpoint, {
    dialects: ["peerpy"],
    accept: (offer) => offers.push(offer) > 0,
  });
  /** What an original is answered that offers a session and, as fast as it can, data. */
  const offer = async () => {
    const original = new Original(await served.stranger());
    await original.write(HELLO, padded("DATA|data_size=2&data_type=json"), "{}");
    const answer = await original.read(128);
    if (answer.length === DENY.length && answer.every((byte, at) => byte === DENY[at])) {
      assertEquals(await ended(original), true);
    }
    original.close();
    return answer;
  };
  return {
    served,
    offers,
    offer,
    async [Symbol.asyncDispose]() {
      await sessions.close();
      await served[Symbol.asyncDispose]();
    },
  };
}

Deno.test("Sessions takes originals only where anybody may open a session", async () => {
  const rows = [["public", ACCEPT, 1], ["private", DENY, 0], ["invited", DENY, 0]] as const;
  for (const [access, answer, taken] of rows) {
    await using scene = await open(access);
    assertEquals(await scene.offer(), answer, access);
    await settle();
    // The application is not even asked, and gets nothing of what was sent.
    assertEquals(scene.offers.length, taken, access);
    const { "session.accepted": accepted = 0, "session.denied": denied = 0 } = scene.served.metrics
      .snapshot();
    assertEquals([accepted, denied], [taken, 1 - taken], access);
  }
});

Deno.test("Sessions takes native sessions of those who may, where it takes no originals", async () => {
  for (const [access, allowed] of [["private", true], ["invited", false]] as const) {
    await using scene = await open(access);
    const client = await scene.served.client();
    const opening = connectSession(client, await client.connect(SERVER));
    if (allowed) await (await opening).close();
    else await assertRejects(() => opening, RemoteError, "needs an invite for msg");
    assertEquals([scene.offers.length, await scene.offer()], [Number(allowed), DENY]);
  }
});

Deno.test("Sessions takes no originals while there is an allow list, whatever may be public", async () => {
  let exclusive = true;
  await using scene = await open("public", () => exclusive);
  assertEquals([await scene.offer(), scene.offers.length], [DENY, 0]);
  exclusive = false;
  assertEquals([await scene.offer(), scene.offers.length], [ACCEPT, 1]);
  exclusive = true;
  assertEquals([await scene.offer(), scene.offers.length], [DENY, 1]);
});

Deno.test("Peer that is private, invites or has an allow list is offered no session by originals", async () => {
  for (const access of ["public", "private", "invited", "allow list"] as const) {
    await using town = new Town();
    const bob = await town.open("bob", {
      dialects: ["peerpy"],
      ...(access === "allow list" ? {} : { access }),
    });
    if (access === "allow list") bob.trust.add(Identity.generate().peerId, { policy: "allow" });
    const got: unknown[] = [];
    await using sessions = bob.sessions({ accept: () => true });
    void (async () => {
      for await (const session of sessions) {
        for await (const data of session) got.push(data);
      }
    })();
    const mallory = await town.open("mallory", { clientOnly: true });
    const inject = async () => {
      const terms = { dialect: "peerpy", dataType: "json" } as const;
      const session = await mallory.connect(town.at("bob"), terms);
      await session.send({ text: "injected" });
      await session.close();
    };
    if (access === "public") await inject();
    else await assertRejects(inject, HandshakeError, "", access);
    await settle();
    assertEquals(got, access === "public" ? [{ text: "injected" }] : [], access);
  }
});
