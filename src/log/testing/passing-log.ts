/** A log that passes every call on to another: faults in between override what they are about. */
import type { AppendLog } from "../log.ts";
import type { Append } from "../record.ts";

export class PassingLog implements AppendLog {
  readonly #to: AppendLog;

  constructor(to: AppendLog) {
    this.#to = to;
  }

  get name(): string {
    return this.#to.name;
  }
  get tip(): AppendLog["tip"] {
    return this.#to.tip;
  }
  get oldestSeq(): number {
    return this.#to.oldestSeq;
  }
  append(append: Append): ReturnType<AppendLog["append"]> {
    return this.#to.append(append);
  }
  read(fromSeq: number, countMax: number, sizeMaxBytes?: number): ReturnType<AppendLog["read"]> {
    return this.#to.read(fromSeq, countMax, sizeMaxBytes);
  }
  refresh(): ReturnType<AppendLog["refresh"]> {
    return this.#to.refresh();
  }
  waitBeyond(seq: number, signal: AbortSignal): ReturnType<AppendLog["waitBeyond"]> {
    return this.#to.waitBeyond(seq, signal);
  }
  notReady(): string | undefined {
    return this.#to.notReady();
  }
  trim(seq: number): Promise<void> {
    return this.#to.trim(seq);
  }
  close(): Promise<void> {
    return this.#to.close();
  }
}
