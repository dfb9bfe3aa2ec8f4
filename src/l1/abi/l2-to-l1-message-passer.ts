// Generated from contracts/src/l2/L2ToL1MessagePasser.sol by scripts/contracts.ts; do not edit.
export const l2ToL1MessagePasserAbi = [
  {"anonymous":false,"inputs":[{"indexed":true,"name":"nonce","type":"uint256"},{"indexed":true,"name":"sender","type":"address"},{"indexed":true,"name":"target","type":"address"},{"indexed":false,"name":"value","type":"uint256"},{"indexed":false,"name":"gasLimit","type":"uint256"},{"indexed":false,"name":"data","type":"bytes"},{"indexed":false,"name":"withdrawalHash","type":"bytes32"}],"name":"MessagePassed","type":"event"},
  {"anonymous":false,"inputs":[{"indexed":true,"name":"amount","type":"uint256"}],"name":"WithdrawerBalanceBurnt","type":"event"},
  {"inputs":[],"name":"MESSAGE_VERSION","outputs":[{"name":"","type":"uint16"}],"stateMutability":"view","type":"function"},
  {"inputs":[],"name":"burn","outputs":[],"stateMutability":"nonpayable","type":"function"},
  {"inputs":[{"name":"target","type":"address"},{"name":"gasLimit","type":"uint256"},{"name":"data","type":"bytes"}],"name":"initiateWithdrawal","outputs":[],"stateMutability":"payable","type":"function"},
  {"inputs":[],"name":"messageNonce","outputs":[{"name":"","type":"uint256"}],"stateMutability":"view","type":"function"},
  {"inputs":[{"name":"withdrawalHash","type":"bytes32"}],"name":"sentMessages","outputs":[{"name":"","type":"bool"}],"stateMutability":"view","type":"function"},
  {"inputs":[],"name":"version","outputs":[{"name":"","type":"string"}],"stateMutability":"view","type":"function"},
  {"stateMutability":"payable","type":"receive"},
] as const;
