/**
 * What a verb prints that runs in the running peer: it is printed by the command line that asked.
 *
 * @module
 */

import type { LogFields, Logger, LogLayer, LogLevel } from "../../log.ts";
import { encodeJson } from "../../wire/json.ts";
import type { LiveTable } from "../live_table.ts";
import { Output } from "../output.ts";
import type { Paint } from "../paint.ts";
import type { ControlLine } from "./control_line.ts";
import { encodeFacts, type RunMessage } from "./messages.ts";

/** See the module. */
export class HostedOutput extends Output {
  override readonly interactive: boolean;
  override readonly live: boolean;
  override readonly log: Logger;
  readonly #line: ControlLine;

  /** Prints to who asked. */
  constructor(line: ControlLine, { json, interactive, live }: RunMessage) {
    super({ json, level: "error" });
    this.interactive = interactive;
    this.live = live === true;
    this.log = remoteLogger(line);
    this.#line = line;
  }

  /** See {@linkcode Output.result}; a result is a text within a message, so that it may nest as deeply as one. */
  override result(facts: Record<string, unknown>, text: string, paint?: Paint): void {
    const result = this.json ? { facts: encodeJson(facts) } : { text, ...shade(paint) };
    this.#line.send({ type: "result", ...result });
  }

  /** See {@linkcode Output.bytes}. */
  override bytes(bytes: Uint8Array): void {
    this.#line.send({ type: "bytes", bytes: bytes.toBase64() });
  }

  /** See {@linkcode Output.note}. */
  override note(text: string, paint?: Paint): void {
    this.#line.send({ type: "note", text, ...shade(paint) });
  }

  /** See {@linkcode Output.table}. */
  override table(table: LiveTable): void {
    this.#line.send({ type: "table", table: encodeJson(table) });
  }

  /** See {@linkcode Output.room}. */
  override room(): Promise<void> | undefined {
    return this.#line.room();
  }

  /** See {@linkcode Output.progress}. */
  override progress(text: string): void {
    if (this.interactive) this.#line.send({ type: "progress", text });
  }
}

function shade(paint: Paint | undefined): { paint?: Paint } {
  return paint === undefined ? {} : { paint };
}

/** What a verb says of its work, which the command line shows as far as that was asked to. */
function remoteLogger(line: ControlLine, layer?: LogLayer): Logger {
  const of = layer === undefined ? {} : { layer };
  const say = (level: LogLevel) => (message: string, fields: LogFields = {}) => {
    line.send({ type: "log", level, ...of, message, fields: encodeFacts(fields) });
  };
  return {
    ...{ debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error") },
    layer: (layer) => remoteLogger(line, layer),
  };
}
