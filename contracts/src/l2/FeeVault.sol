// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Predeploys} from "../universal/Predeploys.sol";
import {SafeCall} from "../universal/SafeCall.sol";
import {L2ToL1MessagePasser} from "./L2ToL1MessagePasser.sol";

/// @title FeeVault
/// @notice Collects one kind of fee. Anyone may send what it holds to its fixed recipient, on L1 or on this cluster.
contract FeeVault {
    /// @dev Less has gathered than is worth a withdrawal.
    error BelowMinimum(uint256 balance, uint256 minimum);
    /// @dev The recipient refused the ETH.
    error TransferFailed(address to, uint256 amount);

    /// @notice Where the recipient lives: 0 on L1, 1 on this cluster.
    enum WithdrawalNetwork {
        L1,
        L2
    }

    string public constant version = "1.5.0";

    /// @dev Gas on L1 for the recipient.
    uint256 internal constant WITHDRAWAL_MIN_GAS = 400_000;

    address public immutable RECIPIENT;
    uint256 public immutable MIN_WITHDRAWAL_AMOUNT;
    WithdrawalNetwork public immutable WITHDRAWAL_NETWORK;

    /// @notice Sum in wei of all withdrawals.
    uint256 public totalProcessed;

    event Withdrawal(uint256 value, address to, address from, WithdrawalNetwork withdrawalNetwork);

    constructor(address recipient_, uint256 minWithdrawalAmount_, WithdrawalNetwork withdrawalNetwork_) {
        RECIPIENT = recipient_;
        MIN_WITHDRAWAL_AMOUNT = minWithdrawalAmount_;
        WITHDRAWAL_NETWORK = withdrawalNetwork_;
    }

    receive() external payable {}

    function recipient() external view returns (address) {
        return RECIPIENT;
    }

    function minWithdrawalAmount() external view returns (uint256) {
        return MIN_WITHDRAWAL_AMOUNT;
    }

    function withdrawalNetwork() external view returns (WithdrawalNetwork) {
        return WITHDRAWAL_NETWORK;
    }

    /// @notice Sends everything held here to the recipient.
    function withdraw() external {
        uint256 amount = address(this).balance;
        if (amount < MIN_WITHDRAWAL_AMOUNT) revert BelowMinimum(amount, MIN_WITHDRAWAL_AMOUNT);
        totalProcessed += amount;
        emit Withdrawal(amount, RECIPIENT, msg.sender, WITHDRAWAL_NETWORK);
        if (WITHDRAWAL_NETWORK == WithdrawalNetwork.L2) {
            if (!SafeCall.callWithGas(RECIPIENT, gasleft(), amount, "")) revert TransferFailed(RECIPIENT, amount);
        } else {
            L2ToL1MessagePasser(payable(Predeploys.L2_TO_L1_MESSAGE_PASSER)).initiateWithdrawal{value: amount}(
                RECIPIENT, WITHDRAWAL_MIN_GAS, ""
            );
        }
    }
}
