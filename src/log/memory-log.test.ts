import { MemoryLog } from "./memory-log.ts";
import { testLogConformance } from "./testing/conformance.ts";

testLogConformance("the memory log", async () => {
  const log = new MemoryLog();
  return { log, reopen: undefined, dispose: () => log.close() };
});
