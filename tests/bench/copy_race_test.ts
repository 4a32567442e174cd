import { assertEquals, assertRejects } from "@std/assert";
import { copyRace, type Load, placesOf, type Way } from "../../bench/copy_race.ts";

const ignore = Deno.build.os !== "linux"; // memory as a folder is Linux's

const load: Load = {
  amount: { files: 1, bytes: 5 },
  counts: "bytes",
  make: (path) => Deno.writeTextFileSync(path, "hello"),
};

Deno.test("copyRace counts bytes a second and empties the target after each copy", {
  ignore,
}, async () => {
  const seen: number[] = [];
  const race = copyRace({ name: "", load, ours: way(2, seen), baseline: way(0.5, seen) });
  {
    await using contest = await race.open();
    assertEquals([await contest.ours(), await contest.baseline()], [2.5, 10]);
    assertEquals(contest.note, undefined);
  }
  assertEquals(seen, [0, 0, 0, 0]); // each once before those that count
});

Deno.test("copyRace counts files where the load says so", { ignore }, async () => {
  const many: Load = { ...load, amount: { files: 8, bytes: 5 }, counts: "files" };
  await using contest = await copyRace({ name: "", load: many, ours: way(2), baseline: way(1) })
    .open();
  assertEquals(await contest.ours(), 4);
});

Deno.test("copyRace empties all copies where there are several, and refuses any that differs", {
  ignore,
}, async () => {
  const copied: string[] = [];
  const many = (bad?: string): Way => (source, target) =>
    Promise.resolve({
      copy: async () => {
        for (const place of placesOf(target, 3)) {
          assertEquals([...Deno.readDirSync(place)], []);
          await Deno.copyFile(source, `${place}/source`);
          if (place === `${target}/${bad}`) await Deno.writeTextFile(`${place}/source`, "hallo");
          copied.push(place.slice(target.length));
        }
        return 3;
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  const three: Load = { ...load, amount: { files: 3, bytes: 15 }, copies: 3 };
  {
    const race = copyRace({ name: "", load: three, ours: many(), baseline: many() });
    await using contest = await race.open();
    assertEquals(await contest.ours(), 5);
  }
  assertEquals(copied.slice(-3), ["/0", "/1", "/2"]);
  const broken = copyRace({ name: "", load: three, ours: many("2"), baseline: many() });
  await assertRejects(async () => await broken.open(), Error, "the copy differs");
});

Deno.test("copyRace refuses a copy that differs, and ends both sides", { ignore }, async () => {
  let ended = 0;
  const broken: Way = (_source, target) =>
    Promise.resolve({
      copy: async () => {
        await Deno.writeTextFile(`${target}/source`, "hallo");
        return 1;
      },
      [Symbol.asyncDispose]: () => {
        ended++;
        return Promise.resolve();
      },
    });
  const race = copyRace({ name: "", load, ours: broken, baseline: broken });
  await assertRejects(async () => await race.open(), Error, "the copy differs");
  assertEquals(ended, 2);
});

Deno.test("copyRace says what each side has to say", { ignore }, async () => {
  const noted: Way = async (source, target) => ({
    ...await way(1)(source, target),
    note: () => "quick",
  });
  await using contest = await copyRace({ name: "", load, ours: way(1), baseline: noted }).open();
  assertEquals(contest.note?.(), "baseline: quick");
});

/** Copies in `seconds`, and takes down how much it finds in the target each time. */
function way(seconds: number, seen: number[] = []): Way {
  return (source, target) =>
    Promise.resolve({
      copy: async () => {
        seen.push([...Deno.readDirSync(target)].length);
        await Deno.copyFile(source, `${target}/source`);
        return seconds;
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
}
