/** Settings of the chain store. */
import { type ConfigOf, defineConfig, int } from "../base/config.ts";

export const storeConfig = defineConfig("store", {
  accessListBlocks: int("SHEAF_ACCESS_LIST_BLOCKS", {
    default: 4_096,
    min: 0,
    max: 2_147_483_647,
    help: "Block access lists (EIP-7928) are kept for as many of the newest blocks; 0 makes none.",
  }),
});

export type StoreConfig = ConfigOf<typeof storeConfig>;
