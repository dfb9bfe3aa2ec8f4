/** What the benchmark and its load generator tell each other. Times are milliseconds of one monotonic clock of the generator. */
export type LoadOrder = {
  readonly url: string;
  readonly wsUrl: string;
  /** A WorkloadFile. */
  readonly path: string;
  /** Open loop: transactions a second, whatever the answers do. Absent: each connection sends as soon as it is answered. */
  readonly ratePerSecond?: number;
  /** Transactions of the workload that the chain puts into each block by itself. */
  readonly perBlockOverhead: number;
  readonly sealTimeoutMs: number;
};

export type LoadResult = {
  readonly sent: number;
  readonly accepted: number;
  /** Refusals by message. */
  readonly refused: Readonly<Record<string, number>>;
  /** First byte sent to last answer read. */
  readonly ingestMs: number;
  /** First byte sent to the news of the block that holds the last accepted transaction. */
  readonly sealedMs: number;
  readonly sealed: number;
  readonly firstBlock: number;
  readonly lastBlock: number;
  /** Per sealed transaction: from its answer (and from its sending) to the news of its block. */
  readonly acceptToSealedMs: readonly number[];
  readonly sendToSealedMs: readonly number[];
  /** Per request: from sending to the answer. */
  readonly answerMs: readonly number[];
  /** Transactions of the workload and gas, per block with any. */
  readonly blocks: readonly { readonly number: number; readonly transactions: number; readonly gasUsed: number }[];
  /** CPU time of the generator itself in the run. */
  readonly generatorCpuMs: number;
};

export type LoadReply = { readonly result: LoadResult } | { readonly error: string };
