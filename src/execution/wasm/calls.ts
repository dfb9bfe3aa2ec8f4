/**
 * Owns calls: reading their result, and those with a limit of time, which run on machines of their own. Such a call is
 * clocked: its code pauses every few thousand ticks, so that it can be given up, and others get the thread meanwhile.
 * Nothing of a call that was given up stays: the machine forgets it when the next one starts.
 */
import { assert } from "../../base/assert.ts";
import { EMPTY_BYTES } from "../../base/bytes.ts";
import { emptyWrites } from "../../protocol/state-writes.ts";
import { CALL_TURN_MS, timedOut } from "../call-timeout.ts";
import type { BlockEnv, CallInput, CallResult, SkipReason, StateReader } from "../execution.ts";
import { writeCall, writeEnvironment } from "./inputs.ts";
import { STATUS_MISSING, STATUS_PAUSED, STATUS_SKIPPED } from "./layout.ts";
import { Machine, vmModule } from "./machine.ts";
import { HALT_REASONS, Output, SKIP_REASONS, TxRecord } from "./result.ts";

/** Machines for calls at most; one more call waits for one of them. */
const MACHINES_MAX = 4;
/** Jump destinations and pieces of code between two pauses: far below a millisecond. */
const TICKS = 4_096;

/** What geth says when a call cannot start. */
const CALL_REFUSALS: Partial<Record<SkipReason, string>> = {
  INSUFFICIENT_FUNDS: "insufficient funds for gas * price + value",
  INTRINSIC_GAS: "intrinsic gas too low",
  INIT_CODE_TOO_LARGE: "max initcode size exceeded",
  RESOURCE: "out of memory",
};

/** What the call that ran last on `machine` came to. */
export function callResult(machine: Machine): CallResult {
  const record = new TxRecord(new Output(machine.bytes.slice(machine.outputAt, machine.finish())), 0);
  assert(record.status !== STATUS_MISSING, "the reader of a call has every key");
  if (record.status === STATUS_SKIPPED) {
    const reason = SKIP_REASONS[record.reason] as SkipReason;
    return {
      status: "halt",
      output: EMPTY_BYTES,
      gasUsed: 0,
      gasRefunded: 0,
      logs: [],
      error: CALL_REFUSALS[reason] ?? reason,
      contractAddress: undefined,
      writes: emptyWrites(),
      accessed: record.accessed(),
    };
  }
  const reverted = record.status === 0 && record.reason === 1;
  return {
    status: record.status === 1 ? "success" : reverted ? "revert" : "halt",
    output: record.output,
    gasUsed: record.gasUsed,
    gasRefunded: record.gasRefunded,
    logs: record.logs(),
    error: record.status === 1 ? undefined : HALT_REASONS[record.reason],
    contractAddress: record.status === 1 ? record.contractAddress : undefined,
    writes: record.writes(),
    accessed: record.accessed(),
  };
}

export class TimedCalls {
  readonly #idle: Machine[] = [];
  readonly #waiting: ((machine: Machine) => void)[] = [];
  #machines = 0;

  async run(env: BlockEnv, call: CallInput, timeoutMs: number, state: StateReader): Promise<CallResult> {
    const deadlineMs = performance.now() + timeoutMs;
    const machine = await this.#take();
    try {
      writeEnvironment(machine, env, Number.MAX_SAFE_INTEGER, { clocked: true });
      writeCall(machine, call);
      machine.init();
      let turnEndMs = performance.now() + CALL_TURN_MS;
      let status = machine.next(state, TICKS, turnEndMs);
      while (status === STATUS_PAUSED) {
        const nowMs = performance.now();
        if (nowMs > deadlineMs) return timedOut(call);
        if (nowMs > turnEndMs) {
          await new Promise((resolve) => {
            setImmediate(resolve);
          });
          turnEndMs = performance.now() + CALL_TURN_MS;
        }
        status = machine.resume(state, TICKS, turnEndMs);
      }
      return callResult(machine);
    } finally {
      this.#give(machine);
    }
  }

  async #take(): Promise<Machine> {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    if (this.#machines >= MACHINES_MAX) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#machines++;
    try {
      return new Machine(await vmModule());
    } catch (error) {
      this.#machines--;
      throw error;
    }
  }

  #give(machine: Machine): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#idle.push(machine);
    else waiting(machine);
  }
}
