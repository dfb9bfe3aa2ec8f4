/**
 * Owns the shape of every operating fault: a class per module with a closed union of codes, each with typed data.
 * Codes are stable and listed in docs/reference/errors.md (generated from the `ERRORS` catalogues).
 * Messages say what failed, with what values, and what to do; data never carries a secret.
 */

/** A catalogue entry: what a code means and what the reader should do. */
export type ErrorDoc = { readonly summary: string; readonly action: string; readonly retryable: boolean };

/** Every module's codes, filled by {@link defineErrors}; read by the reference generator. */
export const ERROR_CATALOGUES = new Map<string, Readonly<Record<string, ErrorDoc>>>();

export class CodedError<Code extends string = string> extends Error {
  override readonly name: string;
  readonly code: Code;
  readonly data: Readonly<Record<string, unknown>>;
  readonly retryable: boolean;

  constructor(
    domain: string,
    code: Code,
    doc: ErrorDoc,
    message: string,
    data: Record<string, unknown>,
    options?: ErrorOptions,
  ) {
    super(`${code}: ${message}`, options);
    this.name = `${domain}Error`;
    this.code = code;
    this.data = data;
    this.retryable = doc.retryable;
  }
}

/**
 * Declares a module's error codes and returns its error factory.
 * @example const l1Error = defineErrors("L1", { ENDPOINT_DOWN: { summary: "…", action: "…", retryable: true } });
 *          throw l1Error("ENDPOINT_DOWN", "no answer in 5 s", { url });
 */
export function defineErrors<const C extends Record<string, ErrorDoc>>(
  domain: string,
  catalogue: C,
): (
  code: keyof C & string,
  message: string,
  data?: Record<string, unknown>,
  options?: ErrorOptions,
) => CodedError<keyof C & string> {
  // A domain may be told in several files.
  ERROR_CATALOGUES.set(domain, { ...ERROR_CATALOGUES.get(domain), ...catalogue });
  return (code, message, data = {}, options) =>
    new CodedError(domain, code, catalogue[code] as ErrorDoc, message, data, options);
}

/** True when the fault may pass by itself; anything that is not a CodedError is not retryable. */
export function isRetryable(error: unknown): boolean {
  return error instanceof CodedError && error.retryable;
}

/** True for a CodedError with this code. */
export function hasCode(error: unknown, code: string): error is CodedError {
  return error instanceof CodedError && error.code === code;
}
