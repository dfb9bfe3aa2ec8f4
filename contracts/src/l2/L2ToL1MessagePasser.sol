// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Hashing} from "../universal/Hashing.sol";
import {Types} from "../universal/Types.sol";

/// @dev Exists only inside its own constructor, and takes the ETH it was created with out of the supply.
contract Burner {
    constructor() payable {
        selfdestruct(payable(address(this)));
    }
}

/// @title L2ToL1MessagePasser
/// @notice Records what leaves for L1. Slot 0 holds `sentMessages`: the storage root of this contract is part of each
///         output root, and the portal proves membership against slot 0, so it must never move.
contract L2ToL1MessagePasser {
    string public constant version = "1.1.0";

    /// @notice Version of the messages recorded here.
    uint16 public constant MESSAGE_VERSION = 1;
    /// @dev Gas on L1 for ETH that is simply sent here.
    uint256 internal constant RECEIVE_DEFAULT_GAS_LIMIT = 100_000;

    /// @notice Withdrawals by their hash.
    mapping(bytes32 withdrawalHash => bool) public sentMessages;
    /// @dev Count of withdrawals.
    uint240 internal _nonce;

    event MessagePassed(
        uint256 indexed nonce,
        address indexed sender,
        address indexed target,
        uint256 value,
        uint256 gasLimit,
        bytes data,
        bytes32 withdrawalHash
    );
    event WithdrawerBalanceBurnt(uint256 indexed amount);

    /// @notice Withdraws the ETH to the sender's own address on L1.
    receive() external payable {
        initiateWithdrawal(msg.sender, RECEIVE_DEFAULT_GAS_LIMIT, "");
    }

    /// @notice Takes the ETH of past withdrawals out of the supply. Anyone may call it.
    function burn() external {
        uint256 amount = address(this).balance;
        new Burner{value: amount}();
        emit WithdrawerBalanceBurnt(amount);
    }

    /// @notice Records a call of `target` on L1 with the ETH of this call.
    /// @param gasLimit Gas the call gets at least.
    function initiateWithdrawal(address target, uint256 gasLimit, bytes memory data) public payable {
        uint256 nonce = messageNonce();
        bytes32 withdrawalHash = Hashing.hashWithdrawal(
            Types.WithdrawalTransaction({
                nonce: nonce,
                sender: msg.sender,
                target: target,
                value: msg.value,
                gasLimit: gasLimit,
                data: data
            })
        );
        sentMessages[withdrawalHash] = true;
        unchecked {
            ++_nonce;
        }
        emit MessagePassed(nonce, msg.sender, target, msg.value, gasLimit, data, withdrawalHash);
    }

    /// @notice Nonce of the next withdrawal, with its version in the upper 16 bits.
    function messageNonce() public view returns (uint256) {
        return Hashing.versionedNonce(_nonce, MESSAGE_VERSION);
    }
}
