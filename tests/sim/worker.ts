/// <reference lib="deno.worker" />

// One of the workers of run.ts: runs a scenario with a seed, whenever it is told to.
import { SCENARIOS } from "./scenarios.ts";

self.onmessage = async ({ data }: MessageEvent<{ name: string; seed: number }>) => {
  const { name, seed } = data;
  const startedMs = performance.now();
  try {
    const run = await SCENARIOS[name]?.run(seed);
    self.postMessage({ name, seed, run, seconds: (performance.now() - startedMs) / 1_000 });
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    self.postMessage({ name, seed, failure, seconds: (performance.now() - startedMs) / 1_000 });
  }
};
