/**
 * Owns the wall-clock limit of calls on `@ethereumjs/evm`, and their manners: a call from outside must neither run
 * without end nor hold the event loop. Whatever runs long passes jump destinations or makes calls, so those opcodes
 * look at the clock now and then. Transactions of blocks have no limit: there gas alone decides.
 */
import type { EVM } from "@ethereumjs/evm";
import { CALL_TURN_MS } from "./call-timeout.ts";

/** Opcodes between two looks at the clock: about half a millisecond. */
const TICKS = 256;

const JUMPDEST = 0x5b;
/** CREATE, CALL, CALLCODE, DELEGATECALL, CREATE2, STATICCALL */
const CALLS = [0xf0, 0xf1, 0xf2, 0xf4, 0xf5, 0xfa];

/** Thrown through the EVM; not an EVM error, so no frame catches it. */
export class CallTimeout extends Error {
  override readonly name = "CallTimeout";
}

type Handler = (runState: unknown, common: unknown) => void | Promise<void>;
type Entry = { readonly opcodeInfo: object; readonly opHandler: Handler; readonly gasHandler: unknown };

export class TimeLimit {
  #deadlineMs: number | undefined;
  #turnEndMs = 0;
  #ticks = 0;

  /** Wires the limit into an instance's own opcode table. */
  constructor(evm: EVM) {
    const table = (evm as unknown as { _opcodeMap: Entry[] })._opcodeMap;
    const jump = table[JUMPDEST] as Entry;
    table[JUMPDEST] = {
      ...jump,
      // Asynchronous from here on: the interpreter awaits what the handler gives.
      opcodeInfo: Object.create(jump.opcodeInfo, { isAsync: { value: true } }) as object,
      opHandler: () => this.#tick(1),
    };
    for (const code of CALLS) {
      const entry = table[code] as Entry;
      table[code] = {
        ...entry,
        opHandler: (runState, common) => {
          // A frame costs as much as dozens of plain opcodes.
          const pause = this.#tick(32);
          if (pause === undefined) return entry.opHandler(runState, common);
          return pause.then(() => entry.opHandler(runState, common));
        },
      };
    }
  }

  /** Limits what runs from now on; undefined lifts the limit. */
  set(timeoutMs: number | undefined): void {
    const nowMs = performance.now();
    this.#deadlineMs = timeoutMs === undefined ? undefined : nowMs + timeoutMs;
    this.#turnEndMs = nowMs + CALL_TURN_MS;
    this.#ticks = 0;
  }

  #tick(weight: number): Promise<void> | undefined {
    if (this.#deadlineMs === undefined) return undefined;
    this.#ticks += weight;
    if (this.#ticks < TICKS) return undefined;
    this.#ticks = 0;
    const nowMs = performance.now();
    if (nowMs > this.#deadlineMs) throw new CallTimeout("the call ran out of time");
    if (nowMs < this.#turnEndMs) return undefined;
    return new Promise((resolve) => {
      setImmediate(() => {
        this.#turnEndMs = performance.now() + CALL_TURN_MS;
        resolve();
      });
    });
  }
}
