// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";

/// @title IOptimismMintableERC20
/// @notice A token that stands for one of the other layer; its bridge mints and burns it.
interface IOptimismMintableERC20 is IERC165 {
    function remoteToken() external view returns (address);

    function bridge() external returns (address);

    function mint(address to, uint256 amount) external;

    function burn(address from, uint256 amount) external;
}

/// @title ILegacyMintableERC20
/// @notice The same under the names of the first bridge.
interface ILegacyMintableERC20 is IERC165 {
    function mint(address to, uint256 amount) external;

    function burn(address from, uint256 amount) external;

    function l1Token() external returns (address);
}
