/** Where a cluster's logs are, and how the servers of replicated logs are reached. */
import { type ConfigOf, configError, defineConfig, int, oneOf, text } from "../base/config.ts";
import type { JetStreamSettings } from "./jetstream.ts";

export const logConfig = defineConfig("log", {
  store: oneOf("SHEAF_LOG", ["file", "nats"], {
    default: "file",
    help: "Where the order and lane logs are: files of this machine, or streams replicated on NATS JetStream.",
  }),
  servers: text("SHEAF_LOG_NATS_SERVERS", {
    default: "127.0.0.1:4222",
    help: "NATS servers, with commas between them; tls:// asks for TLS. The first that answers is used, others follow when it is lost.",
  }),
  replicas: int("SHEAF_LOG_NATS_REPLICAS", {
    default: 3,
    min: 1,
    max: 5,
    help: "Servers that hold each log; a majority must have a record before it counts.",
  }),
  prefix: text("SHEAF_LOG_NATS_PREFIX", {
    default: "sheaf",
    help: "Start of the names of the streams: letters, digits, - and _.",
  }),
  token: text("SHEAF_LOG_NATS_TOKEN", { default: "", secret: true, help: "Token the servers ask for." }),
  nkeySeed: text("SHEAF_LOG_NATS_NKEY_SEED", {
    default: "",
    secret: true,
    help: "Seed of the Ed25519 key that the servers list as a user, instead of a token.",
  }),
  caFile: text("SHEAF_LOG_NATS_CA_FILE", {
    default: "",
    help: "Certificates (PEM) that the servers' own must be signed by; the system's when empty.",
  }),
  certFile: text("SHEAF_LOG_NATS_CERT_FILE", {
    default: "",
    help: "Own certificate (PEM), for servers that verify clients.",
  }),
  keyFile: text("SHEAF_LOG_NATS_KEY_FILE", { default: "", help: "Private key (PEM) of the own certificate." }),
  leaseMs: int("SHEAF_LOG_LEASE_MS", {
    default: 1_500,
    min: 200,
    max: 600_000,
    help: "How long the leader of a replicated log may be silent before another process takes its place.",
  }),
  requestTimeoutMs: int("SHEAF_LOG_NATS_REQUEST_TIMEOUT_MS", {
    default: 2_000,
    min: 100,
    max: 60_000,
    help: "After this long without an answer a request to the log servers is repeated.",
  }),
  openTimeoutMs: int("SHEAF_LOG_NATS_OPEN_TIMEOUT_MS", {
    default: 60_000,
    min: 1_000,
    max: 3_600_000,
    help: "How long a start waits for the log servers.",
  }),
});

export type LogConfig = ConfigOf<typeof logConfig>;

/** @throws {ConfigError} CONFIG_INVALID, naming both, when two settings contradict each other */
export function jetStreamSettings(config: LogConfig): JetStreamSettings {
  const { token, nkeySeed, caFile, certFile, keyFile } = config;
  const wrong = (message: string): Error => configError("CONFIG_INVALID", message);
  if (token !== "" && nkeySeed !== "")
    throw wrong("SHEAF_LOG_NATS_TOKEN and SHEAF_LOG_NATS_NKEY_SEED are both set: servers ask for one of them");
  if ((certFile === "") !== (keyFile === ""))
    throw wrong("SHEAF_LOG_NATS_CERT_FILE and SHEAF_LOG_NATS_KEY_FILE belong together: one of them is not set");
  if (!/^[A-Za-z0-9_-]{1,40}$/.test(config.prefix))
    throw wrong(`SHEAF_LOG_NATS_PREFIX=${config.prefix}: want 1 to 40 letters, digits, - and _`);
  const servers = config.servers.split(",").map((server) => server.trim());
  if (servers.some((server) => server === "")) throw wrong("SHEAF_LOG_NATS_SERVERS holds an empty address");
  const tls = {
    ...(caFile === "" ? {} : { caFile }),
    ...(certFile === "" ? {} : { certFile, keyFile }),
  };
  const wantsTls = Object.keys(tls).length > 0 || servers.some((server) => server.startsWith("tls://"));
  return {
    servers,
    ...(token === "" ? {} : { token }),
    ...(nkeySeed === "" ? {} : { nkeySeed }),
    ...(wantsTls ? { tls } : {}),
    openTimeoutMs: config.openTimeoutMs,
    requestTimeoutMs: config.requestTimeoutMs,
  };
}
