/** What others may ask of the proposer. */
export type ProposerStatus = {
  readonly state: "starting" | "proposing" | "waiting" | "halted";
  /** Why it does not propose. */
  readonly reason: string | undefined;
  /** Newest block with an output on L1, as last read; undefined when there is none. */
  readonly latestBlock: number | undefined;
  /** Least block of the next proposal. */
  readonly nextBlock: number;
};

export interface ProposerApi {
  status(): ProposerStatus;
}
