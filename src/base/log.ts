/**
 * Owns structured logs. One record per line, constant lower-case message, then fields (the record of
 * docs/reference/logs.md). Children carry role, cluster and chainId. Secrets never reach a field: pass addresses, not keys.
 */
import { pino } from "pino";

export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  child(fields: LogFields): Log;
}

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

type PinoLike = {
  debug(o: object, m: string): void;
  info(o: object, m: string): void;
  warn(o: object, m: string): void;
  error(o: object, m: string): void;
  child(o: object): PinoLike;
};

function wrap(inner: PinoLike): Log {
  return {
    debug: (m, f) => inner.debug(f ?? {}, m),
    info: (m, f) => inner.info(f ?? {}, m),
    warn: (m, f) => inner.warn(f ?? {}, m),
    error: (m, f) => inner.error(f ?? {}, m),
    child: (f) => wrap(inner.child(f)),
  };
}

/** Opens the process's log on a file descriptor (default stderr) or a file path. */
export function createLog(options: { level: LogLevel; destination?: string | number; fields?: LogFields }): Log {
  const destination = pino.destination({ dest: options.destination ?? 2, sync: false, mkdir: true });
  // A log that nobody reads any more is no reason to stop, least of all while stopping in order.
  destination.on("error", () => undefined);
  const inner = pino(
    {
      level: options.level,
      base: options.fields ?? {},
      timestamp: () => `,"ts":"${new Date().toISOString()}"`,
      messageKey: "msg",
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: pino.stdSerializers.err },
    },
    destination,
  );
  return wrap(inner);
}

/** Drops everything: for tests and libraries without a log of their own. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};
