// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";

import {CrossDomainMessenger} from "../universal/CrossDomainMessenger.sol";
import {Predeploys} from "../universal/Predeploys.sol";
import {StandardBridge} from "../universal/StandardBridge.sol";

/// @title L1StandardBridge
/// @notice The bridge as users of L1 see it, with the calls and events of its first version. Locks tokens of L1; its ETH
///         is in the portal.
contract L1StandardBridge is StandardBridge, Initializable {
    /// @dev An address that must be set is zero.
    error ZeroAddress();

    string public constant version = "2.2.0";

    CrossDomainMessenger private _messenger;

    event ETHDepositInitiated(address indexed from, address indexed to, uint256 amount, bytes extraData);
    event ETHWithdrawalFinalized(address indexed from, address indexed to, uint256 amount, bytes extraData);
    event ERC20DepositInitiated(
        address indexed l1Token,
        address indexed l2Token,
        address indexed from,
        address to,
        uint256 amount,
        bytes extraData
    );
    event ERC20WithdrawalFinalized(
        address indexed l1Token,
        address indexed l2Token,
        address indexed from,
        address to,
        uint256 amount,
        bytes extraData
    );

    constructor() {
        _disableInitializers();
    }

    function initialize(CrossDomainMessenger messenger_) external initializer {
        if (address(messenger_) == address(0)) revert ZeroAddress();
        _messenger = messenger_;
    }

    function depositETH(uint32 minGasLimit, bytes calldata extraData) external payable onlyAccount {
        _bridgeETH(msg.sender, msg.sender, msg.value, minGasLimit, extraData);
    }

    function depositETHTo(address to, uint32 minGasLimit, bytes calldata extraData) external payable {
        _bridgeETH(msg.sender, to, msg.value, minGasLimit, extraData);
    }

    function depositERC20(
        address l1Token,
        address l2Token,
        uint256 amount,
        uint32 minGasLimit,
        bytes calldata extraData
    ) external onlyAccount {
        _bridgeERC20(l1Token, l2Token, msg.sender, msg.sender, amount, minGasLimit, extraData);
    }

    function depositERC20To(
        address l1Token,
        address l2Token,
        address to,
        uint256 amount,
        uint32 minGasLimit,
        bytes calldata extraData
    ) external {
        _bridgeERC20(l1Token, l2Token, msg.sender, to, amount, minGasLimit, extraData);
    }

    function finalizeETHWithdrawal(address from, address to, uint256 amount, bytes calldata extraData)
        external
        payable
    {
        finalizeBridgeETH(from, to, amount, extraData);
    }

    function finalizeERC20Withdrawal(
        address l1Token,
        address l2Token,
        address from,
        address to,
        uint256 amount,
        bytes calldata extraData
    ) external {
        finalizeBridgeERC20(l1Token, l2Token, from, to, amount, extraData);
    }

    function l2TokenBridge() external pure returns (address) {
        return Predeploys.L2_STANDARD_BRIDGE;
    }

    function MESSENGER() external view returns (CrossDomainMessenger) {
        return _messenger;
    }

    function OTHER_BRIDGE() external pure returns (address) {
        return Predeploys.L2_STANDARD_BRIDGE;
    }

    function messenger() public view override returns (CrossDomainMessenger) {
        return _messenger;
    }

    function otherBridge() public pure override returns (address) {
        return Predeploys.L2_STANDARD_BRIDGE;
    }

    function paused() public view override returns (bool) {
        return _messenger.paused();
    }

    function _beforeETHInitiated(address from, address to, uint256 amount, bytes memory extraData) internal override {
        emit ETHDepositInitiated(from, to, amount, extraData);
    }

    function _afterETHFinalized(address from, address to, uint256 amount, bytes memory extraData) internal override {
        emit ETHWithdrawalFinalized(from, to, amount, extraData);
    }

    function _beforeERC20Initiated(
        address localToken,
        address remoteToken,
        address from,
        address to,
        uint256 amount,
        bytes memory extraData
    ) internal override {
        emit ERC20DepositInitiated(localToken, remoteToken, from, to, amount, extraData);
    }

    function _afterERC20Finalized(
        address localToken,
        address remoteToken,
        address from,
        address to,
        uint256 amount,
        bytes memory extraData
    ) internal override {
        emit ERC20WithdrawalFinalized(localToken, remoteToken, from, to, amount, extraData);
    }
}
