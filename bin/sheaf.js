#!/usr/bin/env node
// The `sheaf` command: sets a fresh clone up, then runs src/main.ts from source.
import { setup } from "../scripts/setup.js";

setup();
const { register } = await import("tsx/esm/api");
register();
await import("../src/main.ts");
