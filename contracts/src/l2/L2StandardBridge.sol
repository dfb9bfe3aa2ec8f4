// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {CrossDomainMessenger} from "../universal/CrossDomainMessenger.sol";
import {OptimismMintableERC20} from "../universal/OptimismMintableERC20.sol";
import {Predeploys} from "../universal/Predeploys.sol";
import {StandardBridge} from "../universal/StandardBridge.sol";

/// @title L2StandardBridge
/// @notice The bridge as a cluster's users see it, with the calls and events of its first version.
contract L2StandardBridge is StandardBridge {
    string public constant version = "1.11.0";

    /// @notice The bridge on L1.
    address public immutable OTHER_BRIDGE;

    event WithdrawalInitiated(
        address indexed l1Token,
        address indexed l2Token,
        address indexed from,
        address to,
        uint256 amount,
        bytes extraData
    );
    event DepositFinalized(
        address indexed l1Token,
        address indexed l2Token,
        address indexed from,
        address to,
        uint256 amount,
        bytes extraData
    );

    constructor(address otherBridge_) {
        OTHER_BRIDGE = otherBridge_;
    }

    /// @notice Withdraws a token, or ETH under its legacy address, to the caller's own account on L1.
    function withdraw(address l2Token, uint256 amount, uint32 minGasLimit, bytes calldata extraData)
        external
        payable
        onlyAccount
    {
        _withdraw(l2Token, msg.sender, amount, minGasLimit, extraData);
    }

    /// @notice Withdraws a token, or ETH under its legacy address, to `to` on L1.
    function withdrawTo(address l2Token, address to, uint256 amount, uint32 minGasLimit, bytes calldata extraData)
        external
        payable
    {
        _withdraw(l2Token, to, amount, minGasLimit, extraData);
    }

    function l1TokenBridge() external view returns (address) {
        return OTHER_BRIDGE;
    }

    function MESSENGER() external pure returns (CrossDomainMessenger) {
        return CrossDomainMessenger(Predeploys.L2_CROSS_DOMAIN_MESSENGER);
    }

    function messenger() public pure override returns (CrossDomainMessenger) {
        return CrossDomainMessenger(Predeploys.L2_CROSS_DOMAIN_MESSENGER);
    }

    function otherBridge() public view override returns (address) {
        return OTHER_BRIDGE;
    }

    /// @notice Deposits always flow: a pause acts on what leaves L2, on L1.
    function paused() public pure override returns (bool) {
        return false;
    }

    function _withdraw(address l2Token, address to, uint256 amount, uint32 minGasLimit, bytes calldata extraData)
        private
    {
        if (l2Token == Predeploys.LEGACY_ERC20_ETH) {
            if (msg.value != amount) revert WrongValue(msg.value, amount);
            _bridgeETH(msg.sender, to, amount, minGasLimit, extraData);
        } else {
            if (msg.value != 0) revert WrongValue(msg.value, 0);
            address l1Token = OptimismMintableERC20(l2Token).l1Token();
            _bridgeERC20(l2Token, l1Token, msg.sender, to, amount, minGasLimit, extraData);
        }
    }

    function _beforeETHInitiated(address from, address to, uint256 amount, bytes memory extraData) internal override {
        emit WithdrawalInitiated(address(0), Predeploys.LEGACY_ERC20_ETH, from, to, amount, extraData);
    }

    function _afterETHFinalized(address from, address to, uint256 amount, bytes memory extraData) internal override {
        emit DepositFinalized(address(0), Predeploys.LEGACY_ERC20_ETH, from, to, amount, extraData);
    }

    function _beforeERC20Initiated(
        address localToken,
        address remoteToken,
        address from,
        address to,
        uint256 amount,
        bytes memory extraData
    ) internal override {
        emit WithdrawalInitiated(remoteToken, localToken, from, to, amount, extraData);
    }

    function _afterERC20Finalized(
        address localToken,
        address remoteToken,
        address from,
        address to,
        uint256 amount,
        bytes memory extraData
    ) internal override {
        emit DepositFinalized(remoteToken, localToken, from, to, amount, extraData);
    }
}
