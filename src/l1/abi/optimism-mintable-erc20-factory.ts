// Generated from contracts/src/l2/OptimismMintableERC20Factory.sol by scripts/contracts.ts; do not edit.
export const optimismMintableErc20FactoryAbi = [
  {"inputs":[],"name":"NoRemoteToken","type":"error"},
  {"anonymous":false,"inputs":[{"indexed":true,"name":"localToken","type":"address"},{"indexed":true,"name":"remoteToken","type":"address"},{"indexed":false,"name":"deployer","type":"address"}],"name":"OptimismMintableERC20Created","type":"event"},
  {"anonymous":false,"inputs":[{"indexed":true,"name":"remoteToken","type":"address"},{"indexed":true,"name":"localToken","type":"address"}],"name":"StandardL2TokenCreated","type":"event"},
  {"inputs":[],"name":"BRIDGE","outputs":[{"name":"","type":"address"}],"stateMutability":"pure","type":"function"},
  {"inputs":[],"name":"bridge","outputs":[{"name":"","type":"address"}],"stateMutability":"pure","type":"function"},
  {"inputs":[{"name":"remoteToken","type":"address"},{"name":"name","type":"string"},{"name":"symbol","type":"string"}],"name":"createOptimismMintableERC20","outputs":[{"name":"","type":"address"}],"stateMutability":"nonpayable","type":"function"},
  {"inputs":[{"name":"remoteToken","type":"address"},{"name":"name","type":"string"},{"name":"symbol","type":"string"},{"name":"decimals","type":"uint8"}],"name":"createOptimismMintableERC20WithDecimals","outputs":[{"name":"localToken","type":"address"}],"stateMutability":"nonpayable","type":"function"},
  {"inputs":[{"name":"remoteToken","type":"address"},{"name":"name","type":"string"},{"name":"symbol","type":"string"}],"name":"createStandardL2Token","outputs":[{"name":"","type":"address"}],"stateMutability":"nonpayable","type":"function"},
  {"inputs":[{"name":"localToken","type":"address"}],"name":"deployments","outputs":[{"name":"remoteToken","type":"address"}],"stateMutability":"view","type":"function"},
  {"inputs":[],"name":"version","outputs":[{"name":"","type":"string"}],"stateMutability":"view","type":"function"},
] as const;
