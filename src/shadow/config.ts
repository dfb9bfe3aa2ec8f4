/** Settings of the shadow. */
import { type ConfigOf, defineConfig, int, oneOf } from "../base/config.ts";

export const shadowConfig = defineConfig("shadow", {
  mode: oneOf("SHEAF_SHADOW", ["off", "advisory", "required"], {
    default: "off",
    help: "Whether the engine that SHEAF_ENGINE does not name runs every block again in a thread of its own. required: nothing is confirmed before both agree, and a difference stops the sequencer; advisory: a difference is reported, the chain goes on, and blocks are left out when the shadow is too far behind.",
  }),
  lagGasMax: int("SHEAF_SHADOW_LAG_GAS_MAX", {
    default: 30_000_000,
    min: 1_000_000,
    max: 1_000_000_000_000,
    help: "Executed gas the shadow may be behind. Beyond it, ordering waits (required) or the next block is not checked (advisory).",
  }),
});

export type ShadowConfig = ConfigOf<typeof shadowConfig>;
