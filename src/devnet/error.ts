/** Error codes of the devnet and of the development L1. */
import { defineErrors } from "../base/error.ts";

export const devnetError = defineErrors("Devnet", {
  DEVNET_L1_CHANGED: {
    summary: "The L1 on the port is not the one this devnet's chains were made on.",
    action: "Start with --fresh to begin again, or with another --data-dir or --ports.",
    retryable: false,
  },
  DEVNET_PORT_TAKEN: {
    summary: "Another program listens on a port the devnet needs.",
    action: "Stop it, or choose other ports with --ports.",
    retryable: false,
  },
  DEVNET_L1_ENDED: {
    summary: "The development L1 ended by itself.",
    action: "Read l1.log in its data folder; it is started again.",
    retryable: true,
  },
  DEVNET_NETWORK_EXISTS: {
    summary: "The folder holds a network file already.",
    action: "Name another folder with --dir, or remove this one.",
    retryable: false,
  },
  DEVNET_OPTIONS_CHANGED: {
    summary: "The data folder holds a devnet that was made with other options.",
    action: "Start with the same options, or with --fresh.",
    retryable: false,
  },
});
