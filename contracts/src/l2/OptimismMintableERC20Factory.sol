// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {OptimismMintableERC20} from "../universal/OptimismMintableERC20.sol";
import {Predeploys} from "../universal/Predeploys.sol";

/// @title OptimismMintableERC20Factory
/// @notice Creates the tokens that stand for tokens of L1, at addresses that depend on their parameters alone.
contract OptimismMintableERC20Factory {
    /// @dev The zero address has no token.
    error NoRemoteToken();

    string public constant version = "1.10.0";

    /// @notice Remote token of each token created here.
    mapping(address localToken => address remoteToken) public deployments;

    event StandardL2TokenCreated(address indexed remoteToken, address indexed localToken);
    event OptimismMintableERC20Created(address indexed localToken, address indexed remoteToken, address deployer);

    function createOptimismMintableERC20(address remoteToken, string memory name, string memory symbol)
        external
        returns (address)
    {
        return createOptimismMintableERC20WithDecimals(remoteToken, name, symbol, 18);
    }

    /// @notice The same under the name of the first bridge.
    function createStandardL2Token(address remoteToken, string memory name, string memory symbol)
        external
        returns (address)
    {
        return createOptimismMintableERC20WithDecimals(remoteToken, name, symbol, 18);
    }

    function createOptimismMintableERC20WithDecimals(
        address remoteToken,
        string memory name,
        string memory symbol,
        uint8 decimals
    ) public returns (address localToken) {
        if (remoteToken == address(0)) revert NoRemoteToken();
        bytes32 salt = keccak256(abi.encode(remoteToken, name, symbol, decimals));
        localToken = address(new OptimismMintableERC20{salt: salt}(bridge(), remoteToken, name, symbol, decimals));
        deployments[localToken] = remoteToken;
        emit StandardL2TokenCreated(remoteToken, localToken);
        emit OptimismMintableERC20Created(localToken, remoteToken, msg.sender);
    }

    /// @notice The bridge of every token created here.
    function bridge() public pure returns (address) {
        return Predeploys.L2_STANDARD_BRIDGE;
    }

    function BRIDGE() external pure returns (address) {
        return Predeploys.L2_STANDARD_BRIDGE;
    }
}
