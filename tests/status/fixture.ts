/**
 * A status page on a real port, a clock that a test moves, and those who look at it.
 *
 * @module
 */

import { ManualClock } from "../../src/clock.ts";
import { StatusPage, type StatusPageOptions } from "../../src/status/status_page.ts";
import { Journal } from "../endpoint/fixture.ts";
import { WebPair } from "../endpoint/web_fixture.ts";
import { PageClient } from "../page/fixture.ts";

/** A message to who looks. */
export interface Told {
  readonly header: string;
  readonly content: { readonly atMs: number; readonly parts: Readonly<Record<string, unknown>> };
}

/** See the module. */
export class StatusScene implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly journal = new Journal();
  readonly pair: WebPair;
  readonly page: StatusPage;
  readonly #viewers: PageClient[] = [];

  private constructor(pair: WebPair, options: StatusPageOptions) {
    this.pair = pair;
    const { web, metrics } = pair;
    this.page = new StatusPage({ web, clock: this.clock, log: this.journal, metrics }, options);
  }

  static async open(options: StatusPageOptions = {}): Promise<StatusScene> {
    return new StatusScene(await WebPair.open(), options);
  }

  /** Where it is, without a path. */
  get origin(): string {
    return this.pair.url.replace("ws:", "http:");
  }

  get counters(): Record<string, number> {
    return this.pair.metrics.snapshot();
  }

  /** Somebody who looks. */
  async viewer(): Promise<PageClient> {
    const viewer = await PageClient.open(`${this.pair.url}/status`);
    this.#viewers.push(viewer);
    return viewer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.page.close();
    for (const viewer of this.#viewers) viewer.close();
    await Promise.all(this.#viewers.map(({ closed }) => closed));
    await this.pair[Symbol.asyncDispose]();
  }
}

/** The next message that somebody gets. */
export async function told(viewer: PageClient): Promise<Told> {
  return JSON.parse(await viewer.text());
}
