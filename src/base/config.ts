/**
 * Owns configuration: each folder declares one map of fields `{env, type, default, help, …}`; from the maps come the
 * typed frozen object, the environment variables, the CLI flags and docs/reference/config.md. Read once, at start.
 * An unknown SHEAF_* variable or a value out of range stops the start and names the variable.
 */
import { assert } from "./assert.ts";
import { defineErrors } from "./error.ts";

export const configError = defineErrors("Config", {
  CONFIG_INVALID: {
    summary: "A configuration value is missing, malformed or out of range.",
    action: "Correct the variable or flag that the message names.",
    retryable: false,
  },
  CONFIG_UNKNOWN: {
    summary: "An environment variable with the SHEAF_ prefix is not known.",
    action: "Check its spelling against docs/reference/config.md.",
    retryable: false,
  },
});

export type Field<T> = {
  readonly env: `SHEAF_${string}`;
  readonly help: string;
  readonly default: T;
  readonly kind: string;
  readonly secret?: boolean;
  readonly parse: (text: string) => T;
};

export type ConfigMap = Readonly<Record<string, Field<unknown>>>;
export type ConfigOf<M extends ConfigMap> = { readonly [K in keyof M]: M[K] extends Field<infer T> ? T : never };

/** All maps, by folder, for the reference page. */
export const CONFIG_MAPS = new Map<string, ConfigMap>();

export function defineConfig<const M extends ConfigMap>(folder: string, map: M): M {
  assert(!CONFIG_MAPS.has(folder), `the settings of ${folder} are declared once`);
  CONFIG_MAPS.set(folder, map);
  return map;
}

export function int(
  env: `SHEAF_${string}`,
  p: { default: number; min: number; max: number; help: string },
): Field<number> {
  return {
    env,
    help: p.help,
    default: p.default,
    kind: `integer ${p.min}..${p.max}`,
    parse: (text) => {
      const value = Number(text);
      if (!/^-?\d+$/.test(text.trim()) || !Number.isSafeInteger(value) || value < p.min || value > p.max)
        throw configError("CONFIG_INVALID", `${env}=${text}: want an integer from ${p.min} to ${p.max}`, { env });
      return value;
    },
  };
}

export function text(env: `SHEAF_${string}`, p: { default: string; help: string; secret?: boolean }): Field<string> {
  return { env, help: p.help, default: p.default, kind: "text", secret: p.secret ?? false, parse: (value) => value };
}

export function bool(env: `SHEAF_${string}`, p: { default: boolean; help: string }): Field<boolean> {
  return {
    env,
    help: p.help,
    default: p.default,
    kind: "true|false",
    parse: (value) => {
      if (value === "true" || value === "1") return true;
      if (value === "false" || value === "0") return false;
      throw configError("CONFIG_INVALID", `${env}=${value}: want true or false`, { env });
    },
  };
}

export function oneOf<const T extends string>(
  env: `SHEAF_${string}`,
  values: readonly T[],
  p: { default: NoInfer<T>; help: string },
): Field<T> {
  return {
    env,
    help: p.help,
    default: p.default,
    kind: values.join("|"),
    parse: (value) => {
      const found = values.find((v) => v === value);
      if (found === undefined)
        throw configError("CONFIG_INVALID", `${env}=${value}: want one of ${values.join(", ")}`, { env });
      return found;
    },
  };
}

/** Builds the frozen config of one map from variables and explicit overrides (flags win over variables). */
export function readConfig<M extends ConfigMap>(
  map: M,
  env: Readonly<Record<string, string | undefined>>,
  overrides: { readonly [K in keyof M]?: string | number | boolean | undefined } = {},
): ConfigOf<M> {
  const out: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(map)) {
    const given = env[field.env];
    const override = (overrides as Record<string, string | number | boolean | undefined>)[key];
    // Flags pass through the same check as variables: one rule for every way in.
    out[key] =
      override !== undefined
        ? field.parse(String(override))
        : given !== undefined && given !== ""
          ? field.parse(given)
          : field.default;
  }
  return Object.freeze(out) as ConfigOf<M>;
}

/** @throws {ConfigError} CONFIG_UNKNOWN for a SHEAF_* variable that no map declares. */
export function refuseUnknownVariables(env: Readonly<Record<string, string | undefined>>): void {
  const known = new Set<string>(["SHEAF_SHARED", "SHEAF_SEED"]);
  for (const map of CONFIG_MAPS.values()) for (const field of Object.values(map)) known.add(field.env);
  for (const name of Object.keys(env))
    if (name.startsWith("SHEAF_") && !known.has(name))
      throw configError("CONFIG_UNKNOWN", `${name} is not a variable of Sheaf`, { env: name });
}
