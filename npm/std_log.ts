// A stand-in for the part of @std/log that kith's command line uses: that package is not on npm. Same names, same
// behaviour for what is used; with JSR the real package is.

const LEVELS = { NOTSET: 0, DEBUG: 10, INFO: 20, WARN: 30, ERROR: 40, CRITICAL: 50 } as const;

export type LevelName = keyof typeof LEVELS;

export interface LogRecord {
  readonly msg: string;
  readonly args: unknown[];
  readonly levelName: string;
  readonly loggerName: string;
}

export abstract class BaseHandler {
  readonly #level: number;
  readonly #formatter: (record: LogRecord) => string;

  constructor(levelName: LevelName, options?: { formatter?: (record: LogRecord) => string }) {
    this.#level = LEVELS[levelName];
    this.#formatter = options?.formatter ?? (({ levelName, msg }) => `${levelName} ${msg}`);
  }

  handle(level: number, record: LogRecord): void {
    if (level >= this.#level) this.log(this.#formatter(record));
  }

  abstract log(msg: string): void;
}

export class Logger {
  readonly #name: string;
  readonly #level: number;
  readonly #handlers: BaseHandler[];

  constructor(name: string, levelName: LevelName, options: { handlers?: BaseHandler[] } = {}) {
    this.#name = name;
    this.#level = LEVELS[levelName];
    this.#handlers = options.handlers ?? [];
  }

  debug(msg: string, ...args: unknown[]): string {
    return this.#emit("DEBUG", msg, args);
  }

  info(msg: string, ...args: unknown[]): string {
    return this.#emit("INFO", msg, args);
  }

  warn(msg: string, ...args: unknown[]): string {
    return this.#emit("WARN", msg, args);
  }

  error(msg: string, ...args: unknown[]): string {
    return this.#emit("ERROR", msg, args);
  }

  #emit(levelName: LevelName, msg: string, args: unknown[]): string {
    if (LEVELS[levelName] < this.#level) return msg;
    for (const handler of this.#handlers) {
      handler.handle(LEVELS[levelName], { msg, args, levelName, loggerName: this.#name });
    }
    return msg;
  }
}
