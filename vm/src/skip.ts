/** Owns the reasons for which an invalid transaction is skipped; the host names them (src/execution/wasm/wasm.ts). */
export const enum Skip {
  NONE = 0, UNDECODABLE = 1, UNSUPPORTED_TYPE = 2, WRONG_CHAIN = 3, NONCE_TOO_LOW = 4, NONCE_TOO_HIGH = 5, NONCE_MAX = 6,
  FEE_BELOW_BASE = 7, TIP_ABOVE_FEE = 8, INSUFFICIENT_FUNDS = 9, INTRINSIC_GAS = 10, GAS_LIMIT_EXCEEDED = 11,
  SENDER_NOT_EOA = 12, INIT_CODE_TOO_LARGE = 13, BLOBS_INVALID = 14, AUTHORIZATIONS_INVALID = 15,
  RESOURCE = 16,
}
