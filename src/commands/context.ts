/** What a command gets from the process: nothing global is reached for. */
export type CommandContext = {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborts on SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  /** Calls `listener` on SIGUSR2: this process shall give its lead to another one. */
  readonly onHandOver?: (listener: () => void) => void;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly isTerminal: boolean;
};
