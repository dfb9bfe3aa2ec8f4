/**
 * Owns the difference between a bug and an operating fault: a failed assertion is a bug, it stops the process
 * (in production too). Operating faults are CodedError (error.ts).
 */

export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Throws {@link AssertionError} when `condition` does not hold. `message` states the invariant in the affirmative. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(`invariant broken: ${message}`);
}

/** Marks a switch as exhaustive. @throws {AssertionError} when reached. */
export function unreachable(value: never, what: string): never {
  throw new AssertionError(`unexpected ${what}: ${String(value)}`);
}
