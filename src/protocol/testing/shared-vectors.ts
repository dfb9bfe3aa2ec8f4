/** Where the public test data lies that is read in place and never copied into the project. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

const root = process.env["SHEAF_SHARED"] ?? resolve(import.meta.dirname, "../../../../shared");

/** The folder, and for `test(name, { skip })`: false, or why the test cannot run here. */
export function sharedFolder(name: string): { readonly path: string; readonly skip: false | string } {
  const path = join(root, name);
  return { path, skip: existsSync(path) ? false : `${name} is not beside the project` };
}
