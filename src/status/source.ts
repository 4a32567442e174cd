/**
 * What the status page and `/metrics` are told: parts of a program that say how they are.
 *
 * @module
 */

/** A part of a program that says how it is. */
export interface StatusSource {
  /** Names its part of the page, such as `peers`; one of that name only. */
  readonly name: string;
  /**
   * How it is now, in what JSON can carry; text of others bounded. It is asked once a second while somebody looks, so it has
   * to be quick. Lists have first what matters most: of those that do not fit the last entries are not shown.
   */
  snapshot(): unknown;
  /** The same in figures, for `/metrics`. @default none */
  figures?(): readonly Figure[];
}

/** A figure with one value, or one for each of a few labels. */
export interface Figure {
  /** Lower case words with `_` between them, without the `kith_` that is put before it; a counter ends in `_total`. */
  readonly name: string;
  /** One sentence for people. */
  readonly help: string;
  /** Whether it goes up and down, or only up. */
  readonly type: "gauge" | "counter";
  /** A number; or several, each with the value of one label, all words of ours and never what a peer has sent. */
  readonly value: number | {
    readonly label: string;
    readonly values: Readonly<Record<string, number>>;
  };
}
