/** Entry of a worker that looks at a state it does not write: told versions and keys, it tells what it reads. */
import { fromHex, toHexKey } from "../../base/bytes.ts";
import { hostArgument, serveParent } from "../../link/serve-parent.ts";
import { StateView } from "../state-view.ts";

export type Look = {
  /** Undefined: the newest. */
  readonly version: number | undefined;
  readonly keys: readonly (readonly [address: string, slot: string])[];
};
export type Seen = { readonly head: number; readonly values: readonly string[] };

await serveParent((send) => {
  const view = new StateView(hostArgument() as string);
  return (message) => {
    const { version, keys } = JSON.parse(Buffer.from(message).toString()) as Look;
    const head = view.refresh();
    const reader = version === undefined || head < 0 ? view : view.at(version);
    const values =
      head < 0
        ? []
        : keys.map(([address, slot]) => {
            const account = reader.account(fromHex(address));
            const value = toHexKey(reader.storage(fromHex(address), fromHex(slot)));
            if (account === undefined) return `absent ${value}`;
            const code = toHexKey(reader.code(account.codeHash));
            return `${account.nonce} ${account.balanceWei} ${toHexKey(account.codeHash)} ${code} ${value}`;
          });
    send(new Uint8Array(Buffer.from(JSON.stringify({ head, values } satisfies Seen))));
  };
});
